"""The adapters: one package each, with its status table, documents, specs, readers and client."""
