"""What a configuration says about requests that are still to come: variables, templates, patterns, conditions."""
