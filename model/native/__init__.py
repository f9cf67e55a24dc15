"""C++ kernels, compiled on first use with the machine's g++ and kept in the user's cache."""

from .build import CompilerError, compile_library

__all__ = ["CompilerError", "compile_library"]
