"""Which libraries are too heavy to be imported for a listing, and which of them an import brought."""

from __future__ import annotations

import sys

HEAVY = frozenset(
    {
        "anthropic",
        "boto3",
        "chromadb",
        "faiss",
        "google",
        "grpc",
        "hnswlib",
        "httpx",
        "jax",
        "lancedb",
        "langchain",
        "langchain_core",
        "llama_cpp",
        "llama_index",
        "matplotlib",
        "mlx",
        "nltk",
        "numba",
        "numpy",
        "onnxruntime",
        "openai",
        "pandas",
        "pinecone",
        "psycopg",
        "psycopg2",
        "pyarrow",
        "pymilvus",
        "qdrant_client",
        "redis",
        "requests",
        "scipy",
        "sentence_transformers",
        "sklearn",
        "spacy",
        "sqlalchemy",
        "tensorflow",
        "tiktoken",
        "tokenizers",
        "torch",
        "transformers",
        "usearch",
        "weaviate",
    }
)


def heavy_modules() -> frozenset[str]:
    """Return the heavy libraries that this process has imported so far."""
    return HEAVY & sys.modules.keys()
