"""A conversation with memory: what is asked and answered, and what of it is kept, whatever goes wrong meanwhile."""

from __future__ import annotations

from ctxkit.chat.commands import COMMANDS, is_command, perform
from ctxkit.chat.conversation import Conversation, Reply, open_conversation

__all__ = ["COMMANDS", "Conversation", "Reply", "is_command", "open_conversation", "perform"]
