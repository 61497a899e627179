internal import ChainrulePlatform

/// The contents of a data file, decompressed if it is gzip-compressed, and their format.
///
///     let file = try DataFile("mnist/train-images-idx3-ubyte.gz")
///     switch file.format {
///     case .idx: print(try IDXFile(file).dimensions)
///     default: print("something else")
///     }
///
/// The limit for decompression into memory is 1 GiB, or 100 times the size of the compressed file if that is
/// more. For an IDX or `.npy` file it is also the size that its header states. A file that states a larger
/// size is refused before it is decompressed.
public struct DataFile: Sendable {
  /// The formats of data files.
  public enum Format: String, Sendable, CaseIterable {
    /// Comma-separated values, or with another delimiter: ``CSVTable``.
    case csv
    /// The format of MNIST: ``IDXFile``.
    case idx
    /// An array of NumPy: ``NumPyArray``.
    case npy
    /// A zip archive of NumPy arrays: ``NumPyArchive``.
    case npz
    /// The training data of FANN: ``FANNFile``.
    case fann
  }

  /// The name for errors: the path, or "standard input"; `nil` for memory.
  public let name: String?
  /// The given format, or the one detected from the first bytes.
  public let format: Format
  let bytes: [UInt8]

  /// Reads the file at `path`, which may be a pipe; "-" is standard input.
  ///
  /// - Parameters:
  ///   - path: The path of the file, or "-".
  ///   - format: The format; `nil` to detect it. `.npy`, `.npz` and IDX files begin with their own marks. A
  ///     text is FANN's if it begins with three whole numbers (rows, inputs and outputs) that fit what
  ///     follows. Every other file is CSV.
  /// - Throws: `ChainruleError.file` for a file that cannot be read, `.badData` for a directory, or for
  ///   compressed data that are damaged, truncated, or above the limit.
  public init(_ path: String, format: Format? = nil) throws(ChainruleError) {
    try self.init(bytes: contents(ofFile: path), name: path == "-" ? "standard input" : path, format: format)
  }

  /// Uses a file's bytes in memory, compressed or not.
  ///
  /// - Throws: The errors of ``init(_:format:)``.
  public init(bytes: [UInt8], name: String? = nil, format: Format? = nil) throws(ChainruleError) {
    self.name = name
    guard bytes.starts(with: gzipMark) else {
      self.bytes = bytes
      self.format = format ?? Format(of: bytes)
      return
    }
    let limit = Inflater.limit(packed: bytes.count)
    func tooLarge(_ size: String) -> ChainruleError {
      .badData(
        file: name, line: nil, column: nil,
        reason:
          "unpacked, the file has \(size) bytes; at most \(limit) are unpacked into memory, the greater of 1 GiB and "
          + "100 times the \(bytes.count) compressed bytes. If the file is meant to be so large, unpack it with gunzip first"
      )
    }
    let inflater = try Inflater(.gzip, bytes[...], file: name)
    var unpacked: [UInt8] = []
    try inflater.append(Self.headSize + 1, to: &unpacked)
    self.format = format ?? Format(of: unpacked)
    if let size = Self.sizeInHeader(unpacked, self.format) {
      guard size <= limit else { throw tooLarge("\(size)") }
      try inflater.append(max(size + 1 - unpacked.count, 0), to: &unpacked)
      guard unpacked.count <= size || size <= Self.headSize else {
        throw .badData(
          file: name, line: nil, column: nil,
          reason: "unpacked, the file has more than the \(size) bytes that its header says")
      }
    } else {
      // A gzip file ends with the size of its last member modulo 2³². If that is above the limit, either the
      // contents are too large or the file is truncated. A first pass, which stores nothing, finds out which.
      if bytes.suffix(4).reversed().reduce(0, { $0 << 8 | Int($1) }) > limit {
        let size = try Inflater(.gzip, bytes[...], file: name).skip(limit + 1)
        guard size <= limit else { throw tooLarge("\(size) or more") }
      }
      try inflater.append(limit + 1 - unpacked.count, to: &unpacked)
      guard unpacked.count <= limit else { throw tooLarge("\(unpacked.count) or more") }
    }
    self.bytes = unpacked
  }

  /// Detects the format of the file at `path` by reading only its first bytes.
  ///
  /// - Throws: The errors of ``init(_:format:)``, and `ChainruleError.file` for a file that is not regular,
  ///   such as a pipe.
  public static func format(ofFile path: String) throws(ChainruleError) -> Format {
    Format(of: try FileReader(path).bytes(at: 0, count: headSize + 1))
  }

  /// The maximum number of bytes of a header in any format.
  fileprivate static let headSize = ArrayHeader.maximumNumPyLength

  /// Returns the size of a file according to its header; `nil` for a format whose header has no size, 0 for a
  /// bad header.
  private static func sizeInHeader(_ head: [UInt8], _ format: Format) -> Int? {
    switch format {
    case .csv, .npz, .fann: nil
    case .idx: (try? ArrayHeader(idx: head, file: nil))?.end ?? 0
    case .npy: (try? ArrayHeader(npy: head, file: nil))?.end ?? 0
    }
  }
}

extension DataFile.Format {
  /// Detects the format of a file from its first ``DataFile/headSize`` bytes. If the file is larger, `head`
  /// has at least one more.
  fileprivate init(of head: [UInt8]) {
    if head.starts(with: ArrayHeader.numPyMark) {
      self = .npy
    } else if head.starts(with: Array("PK".utf8)) {
      self = .npz
    } else if head.starts(with: [0, 0]) {
      self = .idx
    } else {
      let isFANN = FANNFile.isLikely(
        Array(head.prefix(DataFile.headSize)), isWhole: head.count <= DataFile.headSize)
      self = isFANN ? .fann : .csv
    }
  }
}

/// The first bytes of a gzip file.
private let gzipMark: [UInt8] = [0x1F, 0x8B]

private func refusal(_ path: String, _ code: Int32) -> ChainruleError {
  if code == EISDIR {
    return .badData(
      file: path, line: nil, column: nil, reason: "this is a directory; expected a file of data")
  }
  return .file(path: path, reason: String(cString: strerror(code)))
}

/// Returns all bytes of the file at `path`, without decompression; "-" is standard input.
package func contents(ofFile path: String) throws(ChainruleError) -> [UInt8] {
  try checkPath(path)
  let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw refusal(path, errno) }
  defer { if path != "-" { close(descriptor) } }

  var status = stat()
  guard fstat(descriptor, &status) == 0 else { throw refusal(path, errno) }
  if status.st_mode & S_IFMT == S_IFDIR { throw refusal(path, EISDIR) }

  // One byte more than the size, so that the first piece contains a regular file. Other files are read in
  // pieces of 64 KiB.
  var bytes: [UInt8] = []
  var room = max(Int(status.st_size) &+ 1, 1 << 16)
  while true {
    let purpose = "reading \(path == "-" ? "standard input" : path)"
    if bytes.isEmpty { try checkMemory(room, of: UInt8.self, for: purpose) }
    var code: Int32 = 0
    let piece = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
      while count < room {
        let got = read(descriptor, buffer.baseAddress! + count, room - count)
        if got == 0 { break }
        if got > 0 { count += got } else if errno != EINTR { (code, room) = (errno, count) }
      }
    }
    guard code == 0 else { throw refusal(path, code) }
    let hasEnded = piece.count < room
    if bytes.isEmpty {
      bytes = piece
    } else {
      try bytes.makeRoom(for: piece.count, for: purpose)
      bytes += piece
    }
    if hasEnded { return bytes }
    room = 1 << 16
  }
}

// MARK: - Reading in pieces

/// A regular file that is read in pieces, decompressed if it is gzip-compressed.
final class FileReader {
  let path: String
  /// The number of bytes when the file was opened.
  private let size: Int
  private let descriptor: Int32
  let isCompressed: Bool
  /// The decompressor of a compressed file, after the bytes decompressed so far.
  private var inflater: Inflater?

  /// Opens the file.
  ///
  /// - Throws: `ChainruleError.file` if the system refuses, or if `path` is not a regular file; `.badData`
  ///   for a directory.
  init(_ path: String) throws(ChainruleError) {
    try checkPath(path)
    // Without O_NONBLOCK, opening a pipe without a writer would wait.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw refusal(path, errno) }
    self.path = path
    self.descriptor = descriptor
    var status = stat()
    let code = fstat(descriptor, &status) == 0 ? 0 : errno
    size = Int(status.st_size)
    var mark: [UInt8] = [0, 0]
    isCompressed =
      code == 0 && status.st_mode & S_IFMT == S_IFREG && pread(descriptor, &mark, 2, 0) == 2
      && mark == gzipMark
    guard code == 0 else { throw refusal(path, code) }
    if status.st_mode & S_IFMT == S_IFDIR { throw refusal(path, EISDIR) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .file(path: path, reason: "not a regular file; a source is read again in every epoch")
    }
  }

  deinit { close(descriptor) }

  /// Returns the number of bytes if it is at most `limit`, otherwise any larger number. This decompresses a
  /// compressed file.
  func size(upTo limit: Int) throws(ChainruleError) -> Int {
    guard isCompressed else { return size }
    let inflater = try unpacking(from: 0)
    while inflater.count <= limit {
      let left = limit - inflater.count
      if try inflater.skip(left == .max ? left : left + 1) == 0 { break }
    }
    return inflater.count
  }

  /// Returns `count` bytes from `offset` on, or as many as are left.
  func bytes(at offset: Int, count: Int) throws(ChainruleError) -> [UInt8] {
    var bytes: [UInt8] = []
    try append(count, at: offset, to: &bytes)
    return bytes
  }

  /// Appends the bytes of ``bytes(at:count:)``; returns their number.
  @discardableResult
  func append(_ count: Int, at offset: Int, to bytes: inout [UInt8]) throws(ChainruleError) -> Int {
    guard !isCompressed else { return try unpacking(from: offset).append(count, to: &bytes) }
    let start = bytes.count
    let count = min(count, max(size - offset, 0))
    try bytes.makeRoom(for: count, limit: start + count, for: "reading \(path)")
    bytes.append(contentsOf: repeatElement(0, count: count))
    var filled = 0
    while filled < count {
      let got = bytes.withUnsafeMutableBytes {
        pread(descriptor, $0.baseAddress! + start + filled, count - filled, off_t(offset + filled))
      }
      if got == 0 { break }
      if got > 0 {
        filled += got
      } else if errno != EINTR {
        throw .file(path: path, reason: String(cString: strerror(errno)))
      }
    }
    bytes.removeLast(count - filled)
    return filled
  }

  /// Returns the decompressor after `offset` bytes, or at the end. It starts again if it is already past
  /// them.
  private func unpacking(from offset: Int) throws(ChainruleError) -> Inflater {
    if let inflater, inflater.count <= offset {
      try skip(to: offset, inflater)
      return inflater
    }
    var packed = 0
    let (descriptor, path) = (descriptor, path)
    let inflater = try Inflater(.gzip, file: path) { () throws(ChainruleError) in
      var piece = [UInt8](repeating: 0, count: 1 << 16)
      var got = -1
      repeat { got = pread(descriptor, &piece, piece.count, off_t(packed)) } while got < 0 && errno == EINTR
      guard got >= 0 else { throw .file(path: path, reason: String(cString: strerror(errno))) }
      packed += got
      piece.removeLast(piece.count - got)
      return piece
    }
    self.inflater = inflater
    try skip(to: offset, inflater)
    return inflater
  }

  private func skip(to offset: Int, _ inflater: Inflater) throws(ChainruleError) {
    if inflater.count < offset { try inflater.skip(offset - inflater.count) }
  }
}
