"""Phrases of Duplicati's log, given to the compressor beforehand.

`#` stands where `logs` takes out a number or a file's id, `@` where it takes out a date. The compressor reaches the end
of the text with the shortest references, so the commonest phrases come last. Logs that are stored can be read with the
very same text alone: to change it, add a new one beside it and a new version of the format.
"""

_LOG = '","@ +01 - [{level}-Duplicati.Library.Main.{source}]: {text}'


def _line(source: str, text: str, level: str = "Information") -> str:
    """Write a phrase as it stands in the packed document."""
    return _LOG.format(level=level, source=source, text=text)


_EVENT = "BasicResults-BackendEvent"
_RETENTION = "Operation.DeleteHandler:RetentionPolicy-"
_PATH_FAILED = "FileEntry-PathProcessingFailed"

PHRASES_1 = (
    "".join(
        [
            "System.IO.IOException: System.UnauthorizedAccessException: Access to the path '' is denied.",
            "The process cannot access the file because it is being used by another process.",
            "System.AggregateException: One or more errors occurred. System.Net.WebException: ",
            "System.Threading.Tasks.TaskCanceledException: A task was canceled.The operation has timed out",
            "\\n   at System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw()",
            "\\n   at System.Runtime.CompilerServices.TaskAwaiter.HandleNonSuccessAndDebuggerNotification(Task task)",
            "\\n   at CoCoL.AutomationExtensions.RunTask[T](T channels, Func`# method, Boolean catchRetiredExceptions)",
            "\\n--- End of stack trace from previous location ---",
            "\\n   at Duplicati.Library.Main.Controller.RunAction[T](T result, Action`# method)",
            "Duplicati.Library.Main.Database.DatabaseInconsistencyException: ",
            "Duplicati.Library.Interface.UserInformationException: ",
            _line("Operation.TestHandler-Test results", "Verified # remote files with # problem(s)", "Error"),
            _line("Operation.FilelistProcessor-MissingRemoteFiles", "Found # files that are missing", "Error"),
            _line("Operation.FilelistProcessor-ExtraUnknownFiles", "Found # remote files that are not", "Warning"),
            _line("Operation.FilelistProcessor-KeepIncompleteFile", "keeping protected incomplete remote file"),
            _line("Operation.Backup.BackendUploader-RetryPut", "Operation Put with file duplicati-b#.dblock", "Retry"),
            ".zip.aes attempt # of # failed with message: ",
            _line("Operation.Backup.MetadataGenerator.Metadata-MetadataProcessFailed", "Failed to process", "Warning"),
            ' metadata for \\"/, storing empty metadata',
            _line(f"Operation.Backup.FileBlockProcessor.{_PATH_FAILED}", "Failed to process path: C:\\\\", "Warning"),
            _line(f"Operation.Backup.{_PATH_FAILED}", "Failed to process path: /srv/", "Warning"),
            _line("Operation.CompactHandler-CompactReason", "Compacting not required"),
            _line("Operation.CompactHandler-CompactReason", "Compacting because there is #.#% wasted space and the"),
            _line("Database.LocalDeleteDatabase-FullyDeletableCount", "Found # fully deletable volume(s)"),
            _line("Database.LocalDeleteDatabase-SmallVolumeCount", "Found # small volumes(s) with a total size of # "),
            _line("Database.LocalDeleteDatabase-WastedSpaceVolumes", "Found # volume(s) with a total of #.#% wasted"),
            " space (#.# MiB of #.# GiB)",
            _line("Operation.DeleteHandler-DeleteRemoteFileset", "Deleting # remote fileset(s) ..."),
            _line("Operation.DeleteHandler-DeleteResults", "No remote filesets were deleted"),
            _line("Operation.DeleteHandler-DeleteResults", "Deleted # remote fileset(s)"),
            _line(f"{_RETENTION}StartCheck", "Start checking if backups can be removed"),
            _line(f"{_RETENTION}FramesAndIntervals", "Time frames and intervals pairs: #.#:#:# / #.#:#:#, #.#:#:#"),
            _line(f"{_RETENTION}BackupsOutsideFrames", "Backups outside of all time frames and thus getting deleted: "),
            _line(f"{_RETENTION}AllBackupsToDelete", "All backups to delete: #/#/# #:#:#"),
            _line(f"{_RETENTION}BackupsToDelete", "All backups to delete: #/#/# #:#:#"),
            _line(
                f"{_RETENTION}BackupList",
                "Backups to consider: #.#.# #:#:#, #/#/# #:#:# PM, #/#/# #:#:#, #/#/# #:#:#, ",
            ),
            _line("Controller-CompletedOperation", "The operation Backup has completed"),
            _line(_EVENT, "Backend event: Delete - Started: duplicati-#T#Z.dlist.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Delete - Completed: duplicati-#T#Z.dlist.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Get - Started: duplicati-#T#Z.dlist.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Get - Completed: duplicati-#T#Z.dlist.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Put - Started: duplicati-#T#Z.dlist.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Put - Completed: duplicati-#T#Z.dlist.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Put - Started: duplicati-b#.dblock.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Put - Completed: duplicati-b#.dblock.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Put - Started: duplicati-i#.dindex.zip.aes (#.# MiB)"),
            _line(_EVENT, "Backend event: Put - Completed: duplicati-i#.dindex.zip.aes (#.# MiB)"),
            _line(_EVENT, "Backend event: Put - Started: duplicati-b#.dblock.zip.aes (#.# MiB)"),
            _line(_EVENT, "Backend event: Put - Completed: duplicati-b#.dblock.zip.aes (#.# MiB)"),
            _line(_EVENT, "Backend event: Put - Started: duplicati-i#.dindex.zip.aes (#.# KiB)"),
            _line(_EVENT, "Backend event: Put - Completed: duplicati-i#.dindex.zip.aes (#.# KiB)"),
            '[["@ +01 - [Information-Duplicati.Library.Main.Controller-StartingOperation]: ',
            "The operation Backup has started",
            _line(_EVENT, "Backend event: List - Started:  ()"),
            _line(_EVENT, "Backend event: List - Completed:  (#.# KiB)"),
            '],[0,1,2,3,4,5,6,5,6,3,4,3,4,5,6,7,8,7,8],"1,1,2,0,0,00,00,00,x,x1,x2,',
            "2024,00,00,00,2025,00,00,00,12,2026,00,00,00,2026,00,00,00,2026,00,00,00,2027,00,00,00,",
            '",[820000000,0,1,2,1,0,-86400,-86400,-86400,-86400],[0,100],[],[],["2026-11-2026-10-T00:00:00.000Z","2026-',
        ]
    )
    .replace("#", "\x7f")
    .encode()
)
