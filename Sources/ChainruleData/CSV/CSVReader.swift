internal import ChainrulePlatform

/// Reads a CSV file or pipe once, as tables of its parts, each with at least one row. Memory depends on the
/// length of the lines, not on their number.
///
///     var reader = try CSVReader("flights.csv")
///     while let part = try reader.next() { print(try encoding.features(of: part) as [Float]) }
public struct CSVReader {
  private let path: String
  private var options: CSVOptions
  /// The number of bytes of a part, unless a row is longer.
  private let chunk: Int
  private let bytes: ByteReader
  private var dialect: CSVDialect?
  private var decoder: UTF16Decoder?
  /// The number of the first line after the tables so far.
  private var line = 1
  /// The beginning of an incomplete row.
  private var rest: [UInt8] = []
  private var hasBegun = false
  private var hasEnded = false
  /// The columns and options of the first part, without rows.
  private(set) var head: CSVTable?
  /// The rows that were skipped because of their number of cells or their quotes.
  public private(set) var skippedRows = SkippedRows()
  /// The largest number of bytes of text in memory so far, without the beginning that is used to detect the
  /// format.
  private(set) var peakBytes = 0

  /// The number of bytes used to detect the delimiter and the header, independent of the size of a part: the
  /// default size.
  static let lookAhead = 1 << 20
  /// Bytes that were read from the file and are not in a part yet.
  private var ahead: ArraySlice<UInt8> = []
  /// Whether the end of the file has been read.
  private var isRead = false
  /// Whether the next row is the header.
  private var isAtHeader = false
  /// The notes of the table, until the first part includes them.
  private var notes: [String] = []

  /// Opens a file or a pipe, gzip-compressed or not; "-" is standard input. A part has up to `chunk` bytes; a
  /// row may have up to 16 times as many.
  ///
  /// - Throws: `ChainruleError.file` if the system refuses; `.badData` for a directory.
  public init(_ path: String, options: CSVOptions = CSVOptions(), chunk: Int = 1 << 20) throws(ChainruleError)
  {
    try self.init(path, options: options, chunk: max(chunk, 1), like: nil)
  }

  /// Creates a reader. `head` is what an earlier reader of the file detected; `nil` to detect it.
  init(
    _ path: String, options: CSVOptions, chunk: Int = 1 << 20, like head: CSVTable?
  ) throws(ChainruleError) {
    self.path = path
    self.options = options
    self.chunk = chunk
    bytes = try ByteReader(path)
    if let head {
      dialect = head.scanner.dialect
      self.options = head.options
      self.options.header = head.columnNames == nil ? .no : .yes
    }
    expected = head
  }

  private let expected: CSVTable?

  /// Returns the next part; `nil` after the last.
  ///
  /// - Throws: `ChainruleError.badData` for bad rows, such as those of different lengths, unless they are
  ///   skipped.
  public mutating func next() throws(ChainruleError) -> CSVTable? {
    if head == nil { try begin() }
    while !hasEnded {
      var text = rest
      rest = []
      // Doubles the bytes of an incomplete row, so that the time for a long row is linear in its length.
      let wanted = text.count > 16 * chunk ? 0 : max(chunk, text.count)
      try append(wanted, to: &text)
      peakBytes = max(peakBytes, text.count)
      let part = try CSVTable(
        part: text, like: head!, isAtHeader: &isAtHeader, notes: notes, beginning: line, isLast: hasEnded)
      text = []
      if !hasEnded {
        line = part.endLine
        var unfinished = Array(part.rest)
        if unfinished.count > 16 * chunk { try skipLine(of: &unfinished, longerThan: 16 * chunk) }
        rest = unfinished
      }
      skippedRows.add(part.skippedRows)
      if part.rows > 0 {
        notes = []
        return part
      }
    }
    return nil
  }

  /// Appends `wanted` bytes of the text, in UTF-8.
  private mutating func append(_ wanted: Int, to text: inout [UInt8]) throws(ChainruleError) {
    let taken = min(wanted, ahead.count)
    text += ahead.prefix(taken)
    ahead = taken < ahead.count ? ahead.dropFirst(taken) : []
    if taken < wanted, !isRead { try read(wanted - taken, to: &text) }
    hasEnded = isRead && ahead.isEmpty
  }

  /// Appends bytes of the file, in UTF-8; `wanted` is their number before decoding.
  private mutating func read(_ wanted: Int, to text: inout [UInt8]) throws(ChainruleError) {
    var piece: [UInt8] = []
    isRead = try bytes.append(wanted, to: &piece) < wanted
    if !hasBegun {
      hasBegun = true
      decoder = UTF16Decoder(beginning: piece)
    }
    if decoder != nil { piece = decoder!.decode(piece, isLast: isRead) }
    if text.isEmpty { text = piece } else { text += piece }
  }

  /// Skips the first line of a row that is too long, or throws if bad rows are errors.
  private mutating func skipLine(of text: inout [UInt8], longerThan limit: Int) throws(ChainruleError) {
    let reason = ChainruleError.badData(
      file: name, line: line, column: nil,
      reason: "the row is longer than \(limit) bytes; is there a quote that does not close?")
    guard options.skipsBadRows, let end = text.firstIndex(of: UInt8(ascii: "\n")) else { throw reason }
    skippedRows.add(reason)
    text.removeFirst(end + 1)
    line += 1
  }

  private var name: String { path == "-" ? "standard input" : path }

  /// Detects the format from the beginning of the file: the delimiter, the columns and their names.
  private mutating func begin() throws(ChainruleError) {
    let size = max(chunk, Self.lookAhead)
    var text: [UInt8] = []
    while true {
      try read(max(size, text.count), to: &text)
      let known: CSVDialect
      if let dialect { known = dialect } else { known = try CSVDialect(options, of: text.prefix(1 << 16)) }
      // Bad rows are reported when they are reached.
      var lenient = options
      lenient.skipsBadRows = true
      let part = try CSVTable(
        part: text, file: name, options: lenient, dialect: known, beginning: line, isLast: isRead)
      if part.columns > 0 {
        dialect = known
        try take(part)
        break
      }
      if text.count > 16 * size { try skipLine(of: &text, longerThan: 16 * size) }
    }
    ahead = text[(text.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0)...]
    (isAtHeader, notes) = (head!.columnNames != nil, head!.notes)
  }

  /// Stores the columns and their names, and checks that they are the expected ones.
  private mutating func take(_ part: CSVTable) throws(ChainruleError) {
    if let expected {
      let isSame: Bool =
        switch (part.columnNames, expected.columnNames) {
        case (nil, nil): true
        case (let names?, let others?): names.isExactly(others)
        default: false
        }
      guard expected.columns == part.columns, isSame else {
        throw .badData(
          file: name, line: nil, column: nil,
          reason: "the columns differ from those of the first time the file was read")
      }
    }
    var head = CSVTable(part, rows: 0..<0)
    head.options = options
    self.head = head
  }
}

/// The bytes of a file or a pipe in order, decompressed if they are gzip-compressed.
private final class ByteReader {
  private let path: String
  private let descriptor: Int32
  private var inflater: Inflater?
  /// The first bytes, which identify a compressed file.
  private var mark: [UInt8] = []

  init(_ path: String) throws(ChainruleError) {
    let name = path == "-" ? "standard input" : path
    self.path = name
    try checkPath(path)
    let descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
    self.descriptor = descriptor
    guard descriptor >= 0 else { throw .file(path: name, reason: String(cString: strerror(errno))) }
    var status = stat()
    if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
      throw .badData(
        file: name, line: nil, column: nil, reason: "this is a directory; expected a file of data")
    }
    while mark.count < 2, case let byte = try Self.piece(1, from: descriptor, name), !byte.isEmpty {
      mark += byte
    }
    guard mark == [0x1F, 0x8B] else { return }
    var first = mark
    inflater = try Inflater(.gzip, file: name) { () throws(ChainruleError) in
      defer { first = [] }
      return try first.isEmpty ? Self.piece(1 << 16, from: descriptor, name) : first
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Appends the next `count` bytes, or as many as are left; returns their number.
  func append(_ count: Int, to bytes: inout [UInt8]) throws(ChainruleError) -> Int {
    if let inflater { return try inflater.append(count, to: &bytes) }
    let start = bytes.count
    let taken = min(count, mark.count)
    bytes += mark.prefix(taken)
    mark.removeFirst(taken)
    while bytes.count - start < count {
      let piece = try Self.piece(count - (bytes.count - start), from: descriptor, path)
      if piece.isEmpty { break }
      if bytes.isEmpty { bytes = piece } else { bytes += piece }
    }
    return bytes.count - start
  }

  /// Returns up to `count` bytes, and up to 16 MiB; an empty array at the end.
  private static func piece(_ count: Int, from descriptor: Int32, _ path: String) throws(ChainruleError)
    -> [UInt8]
  {
    var code: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: min(count, 1 << 24)) { buffer, filled in
      var got = -1
      repeat {
        got = read(descriptor, buffer.baseAddress, buffer.count)
      } while got < 0 && errno == EINTR
      if got < 0 { code = errno }
      filled = max(got, 0)
    }
    guard code == 0 else { throw .file(path: path, reason: String(cString: strerror(code))) }
    return bytes
  }
}
