"""`ctxkit bench locomo`: how much of what a question needs stands in the context that memory builds for it.

LoCoMo (Maharana et al., "Evaluating Very Long-Term Conversational Memory of LLM Agents", ACL 2024) holds long
conversations with questions, and for each question the turns that hold the evidence. Its licence (CC BY-NC 4.0) is its
own: the file is read where it lies, and nothing of it is kept.
"""
