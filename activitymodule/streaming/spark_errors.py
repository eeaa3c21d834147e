"""Errors of Spark, of Java and of Python's workers as one line; the death of Spark's Java process as one error."""

from __future__ import annotations

import logging
import re
import socket
import socketserver
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from py4j.protocol import Py4JError
from pyspark import SparkContext, accumulators
from pyspark.errors import PySparkException

from activitymodule.errors import ActivityError, JavaEndedError
from activitymodule.settings import Settings
from activitymodule.streaming.session import details, jvm_log
from activitymodule.streaming.state_size import memory_advice

_PYTHON_ERROR = re.compile(r"^(?:[\w$]+\.)*([\w$]*(?:Error|Exception|Interrupt)): (\S.*)$")
_JAVA_CLASS = re.compile(r"^(?:[\w$]+\.)+[\w$]+: ")  # in front of a message
# where an error only says that another one was raised on the other side of a connection, or in a task
_WRAPPER = re.compile(r"(?:Py4J\w+|PythonException): |.*\bTraceback \(most recent call last\)")
_REASON = re.compile(r"Caused by: (.+)")
_OF_TASK = re.compile(r"most recent failure: Lost task .*? executor \w+\): (.+)")
_OF_CALL = re.compile(r"Py4JJavaError: .*\n\s*: (.+)")
_OUT_OF_MEMORY = "OutOfMemoryError"
_TERMINATING = re.compile(r"Terminating due to java\.lang\.(OutOfMemoryError: .+)")
_SHUTS_DOWN_SECONDS = 30.0
# of Java's process: Spark ends it so after an error for want of memory, Java itself where its options say so
_EXITS_OUT_OF_MEMORY = (52, 3)


def first_line(message: str) -> str:
    """The line of a Spark error that names the cause: that of the Python exception where there is one."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    errors = [f"{match[1]}: {match[2]}" for line in lines if (match := _PYTHON_ERROR.match(line))]
    errors = [error for error in errors if not _WRAPPER.match(error)] or errors
    if errors:
        return errors[-1][:300]
    return lines[0][:300] if lines else "unknown error"


def cause(error: BaseException) -> str:
    """The innermost reason of an error, as one line: that of the disk or of the worker, not that a job failed."""
    text = str(error)
    java = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    if java is not None:
        while java.getCause() is not None:
            java = java.getCause()
        text = str(java.toString())
    # where a task failed, or Python's call of Java, the reasons are in the text
    for pattern in (_REASON, _OF_TASK, _OF_CALL):
        reasons = [one for one in pattern.findall(text) if not _WRAPPER.search(one)]
        if reasons:
            text = reasons[-1]
            break
    return _JAVA_CLASS.sub("", first_line(text))


def out_of_memory(error: BaseException) -> bool:
    """Whether a failure comes of Java's memory."""
    return _OUT_OF_MEMORY in str(error) or _OUT_OF_MEMORY in cause(error)


def java_runs(patience_seconds: float = 0.0) -> bool:
    """Whether the Java process of this process's session runs; True where there is no session yet.

    patience_seconds : a process that was killed has closed its sockets a moment before it has ended
    """
    gateway = SparkContext._gateway
    if gateway is None:
        return True
    process: subprocess.Popen[bytes] | None = getattr(gateway, "proc", None)
    if process is not None:
        try:
            process.wait(patience_seconds)
            return False
        except subprocess.TimeoutExpired:
            pass
    # One that shuts down takes seconds to end, and no calls meanwhile. Under spark-submit Java is the parent of this
    # process
    at = gateway.gateway_parameters
    try:
        socket.create_connection((at.address, at.port), 2).close()
    except OSError:
        return False
    return True


@contextmanager
def explained_spark(config: Settings) -> Iterator[None]:
    """Errors of Spark within the block become ActivityErrors: JavaEndedError whatever comes of the death of its Java
    process, which is no more printed from inside PySpark then."""
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_not_of_py4j)
    for server in vars(accumulators).values():  # one class in Spark 4.0, two in 4.2
        if isinstance(server, type) and issubclass(server, socketserver.BaseServer):
            server.handle_error = _handle_error  # type: ignore[method-assign, assignment]
    try:
        yield
    except Exception as error:
        if not java_runs(patience_seconds=1.0):
            raise _ended(config) from error
        if isinstance(error, PySparkException | Py4JError):
            first = cause(error)
            if out_of_memory(error):
                first = f"Java's memory does not suffice ({first}): {memory_advice(config)}"
            raise ActivityError(f"Spark failed: {first} (details {details(config)})") from error
        raise


def _not_of_py4j(record: logging.LogRecord) -> bool:
    return "py4j" not in record.pathname


def _handle_error(server: socketserver.BaseServer, request: Any, client_address: Any) -> None:
    if java_runs(patience_seconds=1.0):
        socketserver.BaseServer.handle_error(server, request, client_address)


def _ended(config: Settings) -> JavaEndedError:
    process: subprocess.Popen[bytes] | None = getattr(SparkContext._gateway, "proc", None)
    code = None
    if process is not None:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(_SHUTS_DOWN_SECONDS)
    if code in _EXITS_OUT_OF_MEMORY:
        how = f"ran out of memory ({_printed_error(config)}) and ended"
        advice = f"{memory_advice(config)}; then run the command again"
    else:
        how = f"was killed (signal {-code})" if code is not None and code < 0 else "ended"
        how += ", as happens where memory runs out"
        advice = "run the command again, with more free memory or a lower spark.driver_memory"
    return JavaEndedError(
        f"Spark's Java process {how}; what is stored is not affected: {advice} (details {details(config)})"
    )


def _printed_error(config: Settings) -> str:
    """The error for which Java ended, as it printed it itself."""
    context = SparkContext._active_spark_context
    log = jvm_log(config, str(context.appName)) if context is not None else None
    text = log.read_text(encoding="utf-8", errors="replace") if log is not None and log.is_file() else ""
    return (_TERMINATING.findall(text) or [_OUT_OF_MEMORY])[-1]
