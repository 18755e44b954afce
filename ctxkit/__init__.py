"""ctxkit: memory for LLM applications that cannot be lost, on the storage backend you choose."""
