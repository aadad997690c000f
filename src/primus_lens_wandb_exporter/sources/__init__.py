"""Where records come from besides intercepted calls. A source knows its format and nothing of the sinks."""
