internal import ChainrulePlatform

/// Keeps a second run out of a folder of checkpoints: a lock (flock) on the file `.lock` in the folder. The
/// system releases it when the process ends, however it ends. File systems without locks are not protected.
final class FolderLock: Sendable {
  private let path: String
  private let descriptor: Int32

  /// - Throws: `ChainruleError.file`, which names the other process if it is known.
  init(_ folder: String) throws(ChainruleError) {
    let path = folder + "/.lock"
    while true {
      let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o666)
      guard file >= 0 else { throw .file(path: path, reason: String(cString: strerror(errno))) }
      if flock(file, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
        let owner = Self.owner(file)
        close(file)
        throw .file(
          path: folder,
          reason:
            "another run is writing its checkpoints here\(owner.map { " (\($0))" } ?? ""); wait until it has "
            + "ended, or choose another folder")
      }
      // The previous run may have removed the file after it was opened here.
      var (held, named) = (stat(), stat())
      if fstat(file, &held) == 0, stat(path, &named) == 0, held.st_ino == named.st_ino,
        held.st_dev == named.st_dev
      {
        (self.path, descriptor) = (path, file)
        break
      }
      close(file)
    }
    let owner = Array("process \(getpid()) on \(Self.host)\n".utf8)
    if ftruncate(descriptor, 0) == 0 { _ = write(descriptor, owner, owner.count) }
  }

  /// The name of this machine.
  private static var host: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
    return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(truncatingIfNeeded:)), as: UTF8.self)
  }

  deinit {
    unlink(path)
    close(descriptor)
  }

  /// The text that the lock's holder wrote: printable ASCII; `nil` if there is none.
  private static func owner(_ file: Int32) -> String? {
    var bytes = [UInt8](repeating: 0, count: 200)
    let count = pread(file, &bytes, bytes.count, 0)
    let text = bytes.prefix(max(count, 0)).prefix { (0x20...0x7E).contains($0) }
    return text.isEmpty ? nil : String(decoding: text, as: UTF8.self)
  }
}
