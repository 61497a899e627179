internal import ChainrulePlatform

/// Reads a CSV file or pipe once, as tables of its parts, each with at least one row: memory depends on the length of the
/// lines, not on their number.
///
///     var reader = try CSVReader("flights.csv")
///     while let part = try reader.next() { print(try encoding.features(of: part) as [Float]) }
public struct CSVReader {
  private let path: String
  private var options: CSVOptions
  /// The bytes of a part, but for a longer row.
  private let chunk: Int
  private let bytes: ByteReader
  private var dialect: CSVDialect?
  private var decoder: UTF16Decoder?
  /// The number of the first line that is not in a table yet.
  private var line = 1
  /// The beginning of a row that has not ended yet.
  private var rest: [UInt8] = []
  private var hasBegun = false
  private var hasEnded = false
  /// The first part's columns and options, without rows.
  private(set) var head: CSVTable?
  /// Rows of other lengths and the like that have been left out.
  public private(set) var skippedRows = SkippedRows()
  /// The most bytes of text held so far, besides the beginning that shows how the file is to be read.
  private(set) var peakBytes = 0

  /// The bytes by which the delimiter and the header are known, whatever the size of a part: those of the default one.
  static let lookAhead = 1 << 20
  /// What has been read of the file and is in no part yet.
  private var ahead: ArraySlice<UInt8> = []
  /// Whether the file has no more bytes than those.
  private var isRead = false
  /// Whether the next row is the header.
  private var isAtHeader = false
  /// Those of the table, until a part has them.
  private var notes: [String] = []

  /// Opens a file or a pipe, gzip-compressed or not; "-" is standard input. A part has up to `chunk` bytes, and a row
  /// may have 16 times as many.
  ///
  /// - Throws: `ChainruleError.file` where the system refuses; `.badData` for a directory.
  public init(_ path: String, options: CSVOptions = CSVOptions(), chunk: Int = 1 << 20) throws(ChainruleError)
  {
    try self.init(path, options: options, chunk: max(chunk, 1), like: nil)
  }

  /// `head` is what an earlier reader of the file has found in it; nil: it is found out.
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

  /// The next part; nil after the last.
  ///
  /// - Throws: `ChainruleError.badData` for rows of different lengths and the like, unless they are to be left out.
  public mutating func next() throws(ChainruleError) -> CSVTable? {
    if head == nil { try begin() }
    while !hasEnded {
      var text = rest
      rest = []
      // As much again as there is of a row, so that the time for a long one is linear in its length.
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

  /// Appends so many bytes of the text, in UTF-8.
  private mutating func append(_ wanted: Int, to text: inout [UInt8]) throws(ChainruleError) {
    let taken = min(wanted, ahead.count)
    text += ahead.prefix(taken)
    ahead = taken < ahead.count ? ahead.dropFirst(taken) : []
    if taken < wanted, !isRead { try read(wanted - taken, to: &text) }
    hasEnded = isRead && ahead.isEmpty
  }

  /// Appends bytes of the file, in UTF-8, so many before they are decoded.
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

  /// Leaves out the first line of a row that is too long, or throws where bad rows are errors.
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

  /// Finds out by the beginning of the file how it is to be read: its delimiter, its columns and their names.
  private mutating func begin() throws(ChainruleError) {
    let size = max(chunk, Self.lookAhead)
    var text: [UInt8] = []
    while true {
      try read(max(size, text.count), to: &text)
      let known: CSVDialect
      if let dialect { known = dialect } else { known = try CSVDialect(options, of: text.prefix(1 << 16)) }
      // Bad rows are errors where they are met.
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

  /// Takes over the columns and their names.
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
          reason: "the columns are others than when the file was read first")
      }
    }
    var head = CSVTable(part, rows: 0..<0)
    head.options = options
    self.head = head
  }
}

/// The bytes of a file or a pipe, one after the other, unpacked where they are gzip-compressed.
private final class ByteReader {
  private let path: String
  private let descriptor: Int32
  private var inflater: Inflater?
  /// The first bytes, by which a compressed file is known.
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

  /// Appends the next `count` bytes, or as many as there are; returns their number.
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

  /// Up to `count` bytes, and up to 16 MiB; none at the end.
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
