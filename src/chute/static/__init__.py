"""Files beneath a root as HTTP resources: index files, slash redirects, methods, media types."""
