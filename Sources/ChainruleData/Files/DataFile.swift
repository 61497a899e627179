internal import ChainrulePlatform

/// The contents of a file of data, unpacked where it is gzip-compressed, and their format.
///
///     let file = try DataFile("mnist/train-images-idx3-ubyte.gz")
///     switch file.format {
///     case .idx: print(try IDXFile(file).dimensions)
///     default: print("something else")
///     }
///
/// At most 1 GiB is unpacked into memory, or 100 times as many bytes as the compressed file has where that is more, and of
/// an IDX or `.npy` file no more than its header says. A file that says that it is larger is refused before it is unpacked.
public struct DataFile: Sendable {
  /// The formats that data are read in.
  public enum Format: String, Sendable, CaseIterable {
    /// Comma-separated values, or with another delimiter: ``CSVTable``.
    case csv
    /// The format of MNIST: ``IDXFile``.
    case idx
    /// An array of NumPy's: ``NumPyArray``.
    case npy
    /// A zip archive of such arrays: ``NumPyArchive``.
    case npz
    /// The training data of FANN: ``FANNFile``.
    case fann
  }

  /// The name that errors give: the path, or "standard input"; nil for memory.
  public let name: String?
  /// The format that was given or, without one, that the first bytes show.
  public let format: Format
  let bytes: [UInt8]

  /// Reads the file at `path`, which may be a pipe; "-" is standard input.
  ///
  /// - Parameters:
  ///   - path: The file, or "-".
  ///   - format: The format; nil to detect it. `.npy`, `.npz` and IDX files begin with marks of their own. A text is FANN's
  ///     where it begins with three whole numbers that fit what follows: rows, inputs and outputs. Every other file is CSV.
  /// - Throws: `ChainruleError.file` for a file that cannot be read, `.badData` for a directory, or compressed data that
  ///   are damaged, cut short, or more than may be.
  public init(_ path: String, format: Format? = nil) throws(ChainruleError) {
    try self.init(bytes: contents(ofFile: path), name: path == "-" ? "standard input" : path, format: format)
  }

  /// Takes a file's bytes from memory, compressed or not.
  ///
  /// - Throws: As ``init(_:format:)``.
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
      // A gzip file ends with the size of its last member modulo 2³². Where that is beyond the bound and the file is not cut
      // short, so is the whole; a first pass, which holds none of it, says which is so.
      if bytes.suffix(4).reversed().reduce(0, { $0 << 8 | Int($1) }) > limit {
        let size = try Inflater(.gzip, bytes[...], file: name).skip(limit + 1)
        guard size <= limit else { throw tooLarge("\(size) or more") }
      }
      try inflater.append(limit + 1 - unpacked.count, to: &unpacked)
      guard unpacked.count <= limit else { throw tooLarge("\(unpacked.count) or more") }
    }
    self.bytes = unpacked
  }

  /// The format of the file at `path`, by its first bytes, of which no more are read.
  ///
  /// - Throws: As ``init(_:format:)``, and `ChainruleError.file` for a file that is not regular, as a pipe.
  public static func format(ofFile path: String) throws(ChainruleError) -> Format {
    Format(of: try FileReader(path).bytes(at: 0, count: headSize + 1))
  }

  /// The most bytes of a header of any format.
  fileprivate static let headSize = ArrayHeader.maximumNumPyLength

  /// The number of bytes that a file has by its header; nil for a format that does not say, 0 for a bad header.
  private static func sizeInHeader(_ head: [UInt8], _ format: Format) -> Int? {
    switch format {
    case .csv, .npz, .fann: nil
    case .idx: (try? ArrayHeader(idx: head, file: nil))?.end ?? 0
    case .npy: (try? ArrayHeader(npy: head, file: nil))?.end ?? 0
    }
  }
}

extension DataFile.Format {
  /// The format of a file, by its first ``DataFile/headSize`` bytes. `head` has at least one more where the file has more.
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

/// What a gzip file begins with.
private let gzipMark: [UInt8] = [0x1F, 0x8B]

private func refusal(_ path: String, _ code: Int32) -> ChainruleError {
  if code == EISDIR {
    return .badData(
      file: path, line: nil, column: nil, reason: "this is a directory; expected a file of data")
  }
  return .file(path: path, reason: String(cString: strerror(code)))
}

/// All bytes of the file at `path`, as they stand; "-" is standard input.
package func contents(ofFile path: String) throws(ChainruleError) -> [UInt8] {
  try checkPath(path)
  let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw refusal(path, errno) }
  defer { if path != "-" { close(descriptor) } }

  var status = stat()
  guard fstat(descriptor, &status) == 0 else { throw refusal(path, errno) }
  if status.st_mode & S_IFMT == S_IFDIR { throw refusal(path, EISDIR) }

  // One byte more than the size, so that a regular file ends inside the first piece. Other files come in pieces of 64 KiB.
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

// MARK: - In pieces

/// A regular file that is read in pieces, unpacked where it is gzip-compressed.
final class FileReader {
  let path: String
  /// In bytes, when the file was opened.
  private let size: Int
  private let descriptor: Int32
  let isCompressed: Bool
  /// Of a compressed file, and what stands behind the bytes unpacked so far.
  private var inflater: Inflater?

  /// - Throws: `ChainruleError.file` where the system refuses, or `path` is not of a regular file; `.badData` for a
  ///   directory.
  init(_ path: String) throws(ChainruleError) {
    try checkPath(path)
    // A pipe without a writer would be waited for.
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

  /// The number of bytes where that is at most `limit`; otherwise any number above. A compressed file is unpacked for it.
  func size(upTo limit: Int) throws(ChainruleError) -> Int {
    guard isCompressed else { return size }
    let inflater = try unpacking(from: 0)
    while inflater.count <= limit {
      let left = limit - inflater.count
      if try inflater.skip(left == .max ? left : left + 1) == 0 { break }
    }
    return inflater.count
  }

  /// The bytes from `offset` on, `count` or as many as there are.
  func bytes(at offset: Int, count: Int) throws(ChainruleError) -> [UInt8] {
    var bytes: [UInt8] = []
    try append(count, at: offset, to: &bytes)
    return bytes
  }

  /// Appends what ``bytes(at:count:)`` gives; returns how many bytes that were.
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

  /// The inflater with `offset` bytes behind it, or all there are; it begins again where more are.
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
