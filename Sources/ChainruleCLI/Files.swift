import Chainrule
import Foundation

/// The kind of the file at `path`, links followed, as stat(2) has it: S_IFREG, S_IFDIR, …; nil where there is
/// none.
func fileKind(_ path: String) -> mode_t? {
  var status = stat()
  return stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
}

/// Refuses a path that no file can be written to, before any work is done for it. A file that is to be replaced
/// whole must be a regular one; others, such as a terminal, can be written to in place.
func checkWritable(_ path: String, replacing: Bool) throws(ChainruleError) {
  let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
  let kind = fileKind(path)
  if kind == S_IFDIR { throw .file(path: path, reason: "this is a folder; expected the name of a file") }
  if replacing, let kind, kind != S_IFREG { throw .file(path: path, reason: "this is no regular file") }
  guard fileKind(folder) == S_IFDIR else { throw .file(path: path, reason: "there is no folder \(folder)") }
  guard access(kind == nil || replacing ? folder : path, W_OK) == 0 else {
    throw .file(path: path, reason: String(cString: strerror(errno)))
  }
}

/// Puts `contents` in the place of what the file at `path` held, once all of them are written.
func replaceFile(at path: String, with contents: Data) throws(ChainruleError) {
  do {
    try contents.write(to: URL(fileURLWithPath: path), options: .atomic)
  } catch {
    throw .file(path: path, reason: error.localizedDescription)
  }
}
