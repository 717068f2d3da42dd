"""From a source's own names, units and order to the pipeline's fields, and what they are like."""
