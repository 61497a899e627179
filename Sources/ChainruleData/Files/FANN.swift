/// A file of training data for FANN, in the format of `fann_save_train` and `fann_read_train_from_file`.
///
///     rows inputs outputs
///     the inputs of the first row
///     its outputs
///     the inputs of the second row
///     …
///
/// The line breaks are optional: any whitespace separates two numbers, so a line may contain several rows or
/// a single number. A number is decimal or hexadecimal, with an optional sign and exponent, in the format of
/// C's `strtod` in the "C" locale; the locale of the process has no effect. The format has no comments.
public struct FANNFile: Sendable {
  /// The number of rows, at least 1.
  public let rows: Int
  /// The number of inputs of a row, at least 1.
  public let inputs: Int
  /// The number of outputs of a row, at least 1.
  public let outputs: Int
  private let bytes: [UInt8]
  private let file: String?
  /// The position after the header.
  private let start: FANNWords

  /// Reads the file at `path`, gzip-compressed or not.
  ///
  /// - Throws: The errors of ``DataFile/init(_:format:)``, and `ChainruleError.badData` for a header that is
  ///   not three whole numbers of at least 1, or that announces more numbers than the file's bytes can hold.
  public init(file path: String) throws(ChainruleError) {
    try self.init(DataFile(path, format: .fann))
  }

  /// Uses a file that has been read.
  ///
  /// - Throws: `ChainruleError.badData` as ``init(file:)`` does.
  public init(_ file: DataFile) throws(ChainruleError) {
    try self.init(bytes: file.bytes, file: file.name)
  }

  init(bytes: [UInt8], file: String? = nil) throws(ChainruleError) {
    var words = FANNWords(bytes)
    var header: [Int] = []
    for name in ["rows", "inputs", "outputs"] {
      let word = words.next(in: bytes)
      guard let word, let number = Self.wholeNumber(bytes[word]) else {
        let found = word.map { "\"\(Self.text(bytes[$0]))\"" } ?? "the end of the file"
        throw .badData(
          file: file, line: words.line, column: word == nil ? nil : words.place,
          reason:
            "expected the number of \(name), a whole number of at least 1; found \(found). FANN's data begin with "
            + "three numbers: rows inputs outputs")
      }
      header.append(number)
    }
    let (columns, isTooWide) = header[1].addingReportingOverflow(header[2])
    let (numbers, isTooLarge) = columns.multipliedReportingOverflow(by: header[0])
    // A number needs at least one digit and the space before it.
    guard !isTooWide, !isTooLarge, numbers <= bytes.count / 2 else {
      throw .badData(
        file: file, line: words.line, column: nil,
        reason:
          "the header says \(header[0]) rows of \(header[1]) inputs and \(header[2]) outputs; the file's "
          + "\(bytes.count) bytes cannot hold so many numbers")
    }
    (rows, inputs, outputs) = (header[0], header[1], header[2])
    self.bytes = bytes
    self.file = file
    start = words
  }

  /// Whether a text is more likely FANN's than CSV with spaces between the cells. `head` is its first bytes,
  /// or all of them if `isWhole`.
  ///
  /// It begins with three whole numbers r, i, o of at least 1. In addition, one of these holds:
  /// - it has r (i + o) more words, and they are numbers;
  /// - the header fills the first line, another line has more or fewer words than 3, and the words are
  ///   numbers or the second line has i or i + o of them. In CSV every line has the same number of cells.
  ///   Reading such a file as FANN's gives an error that names the wrong number, or how many numbers there
  ///   are;
  /// - only the head of the text is known, it has at most r (i + o) words, which are numbers, and its lines
  ///   have different numbers of words, or one each, or 3 if i + o = 3 or i = o = 3.
  static func isLikely(_ head: [UInt8], isWhole: Bool) -> Bool {
    var words = FANNWords(head)
    var header: [Int] = []
    var lengths: [Int] = []
    var (count, areNumbers) = (0, true)
    var line = 0
    while let word = words.next(in: head) {
      // The last word of a head may be incomplete.
      if word.upperBound == head.count, !isWhole { break }
      if header.count < 3 {
        guard let number = wholeNumber(head[word]) else { return false }
        header.append(number)
      } else {
        count += 1
        areNumbers = areNumbers && isNumber(word, in: head)
      }
      if words.line != line { lengths.append(0) }
      line = words.line
      lengths[lengths.count - 1] += 1
    }
    guard header.count == 3 else { return false }
    let (columns, isTooWide) = header[1].addingReportingOverflow(header[2])
    let (total, isTooLarge) = columns.multipliedReportingOverflow(by: header[0])
    if isWhole, !isTooWide, !isTooLarge, areNumbers, count == total { return true }
    // The last line of a head may be incomplete.
    if !isWhole, lengths.count > 1 { lengths.removeLast() }
    let isUniform = lengths.allSatisfy { $0 == lengths[0] }
    if lengths[0] == 3, !isUniform, areNumbers || lengths[1] == header[1] || lengths[1] == columns {
      return true
    }
    guard !isWhole, areNumbers, isTooWide || isTooLarge || count <= total else { return false }
    return !isUniform || lengths[0] == 1
      || (lengths[0] == 3 && (columns == 3 || (header[1] == 3 && header[2] == 3)))
  }

  /// Returns the number, at least 1, that C's `%u` reads from all of `word`; `nil` if there is none.
  private static func wholeNumber(_ word: ArraySlice<UInt8>) -> Int? {
    let digits = word.first == UInt8(ascii: "+") ? word.dropFirst() : word
    guard digits.count <= 100, digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
      return nil
    }
    return Int(String(decoding: digits, as: UTF8.self)).flatMap { $0 >= 1 ? $0 : nil }
  }

  private static func isNumber(_ word: Range<Int>, in bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { (number(word, in: $0) as Double?) != nil }
  }

  /// Returns the word for a message, up to 40 bytes of it.
  private static func text(_ word: ArraySlice<UInt8>) -> String {
    String(decoding: word.prefix(40), as: UTF8.self) + (word.count > 40 ? "…" : "")
  }

  /// Returns the inputs, row-major rows × ``inputs``, and the outputs, rows × ``outputs``.
  ///
  /// - Throws: `ChainruleError.badData` with line and column (the position of the number in its line) for a
  ///   word that is not a number or is not finite in its type, for a file that ends too early, and for text
  ///   after the last number; `.outOfMemory`.
  public func values<Scalar: NetworkScalar>(
    as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> (inputs: [Scalar], outputs: [Double]) {
    var x = try [Scalar](roomFor: rows * inputs, for: "the inputs of \(file ?? "FANN's data")")
    var y = try [Double](roomFor: rows * outputs, for: "the outputs of \(file ?? "FANN's data")")
    var words = start
    for row in 0..<rows {
      try read(inputs, "input", row, from: &words, into: &x)
      try read(outputs, "output", row, from: &words, into: &y)
    }
    if let word = words.next(in: bytes) {
      throw .badData(
        file: file, line: words.line, column: words.place,
        reason:
          "\"\(Self.text(bytes[word]))\" follows the last of the \(rows * (inputs + outputs)) numbers of "
          + "\(rows) rows of \(inputs) inputs and \(outputs) outputs. Correct the header, or delete the rest")
    }
    return (x, y)
  }

  /// Appends the next `count` numbers.
  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  private func read<Scalar: NetworkScalar>(
    _ count: Int, _ what: String, _ row: Int, from words: inout FANNWords, into numbers: inout [Scalar]
  ) throws(ChainruleError) {
    let wanted = numbers.count + count
    let bad = bytes.withUnsafeBytes { bytes -> Range<Int>? in
      while numbers.count < wanted {
        guard let word = words.next(in: bytes) else { return bytes.count..<bytes.count }
        guard let number: Scalar = Self.number(word, in: bytes), number.isFinite else { return word }
        numbers.append(number)
      }
      return nil
    }
    guard let bad else { return }
    let place = "\(what) \(numbers.count + count - wanted + 1) of row \(row + 1)"
    guard !bad.isEmpty else {
      throw .badData(
        file: file, line: words.line, column: nil,
        reason:
          "the file ends before \(place); the header says \(rows) rows of \(inputs) inputs and \(outputs) outputs"
      )
    }
    let isNumber = bytes.withUnsafeBytes { (Self.number(bad, in: $0) as Scalar?) != nil }
    throw .badData(
      file: file, line: words.line, column: words.place,
      reason: "\(place) is \"\(Self.text(bytes[bad]))\"; expected a finite number"
        + (isNumber ? " of \(Scalar.scalarType.rawValue)" : "")
        + (bytes[bad].contains(UInt8(ascii: ","))
          ? ". FANN's data cannot contain commas: write 0.5 for 0,5" : ""))
  }

  /// Returns the number of a word; `nil` if it is not a number, also for "inf" and "nan".
  @inline(__always)
  private static func number<Scalar: NetworkScalar>(
    _ word: Range<Int>, in text: UnsafeRawBufferPointer
  ) -> Scalar? {
    if let number: (value: Scalar, end: Int) = decimalNumber(at: word.lowerBound, in: text),
      number.end == word.upperBound
    {
      return number.value
    }
    return hexadecimalNumber(word, in: text)
  }

  /// Returns the number of a word such as -0x1.8p3.
  private static func hexadecimalNumber<Scalar: NetworkScalar>(
    _ word: Range<Int>, in text: UnsafeRawBufferPointer
  ) -> Scalar? {
    var digits = text[word]
    if let sign = digits.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
      digits = digits.dropFirst()
    }
    guard digits.count > 2, digits.first == UInt8(ascii: "0"),
      digits.dropFirst().first! | 0x20 == UInt8(ascii: "x")
    else {
      return nil
    }
    return Scalar(String(decoding: text[word], as: UTF8.self))
  }
}

/// A position between the words of a text. Whitespace separates them: space, tab, vertical tab, form feed,
/// line feed, carriage return. A byte order mark before the first is skipped. Lines end with LF, CRLF or CR.
private struct FANNWords {
  /// The byte after the last word.
  private var offset: Int
  /// The line of the last word, counted from 1.
  private(set) var line = 1
  /// The position of the last word in its line, counted from 1.
  private(set) var place = 0

  init(_ bytes: [UInt8]) { offset = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0 }

  mutating func next(in bytes: [UInt8]) -> Range<Int>? { bytes.withUnsafeBytes { next(in: $0) } }

  @inline(__always)
  mutating func next(in bytes: UnsafeRawBufferPointer) -> Range<Int>? {
    while offset < bytes.count, Self.isSpace(bytes[offset]) {
      let isLineEnd =
        bytes[offset] == UInt8(ascii: "\n")
        || (bytes[offset] == UInt8(ascii: "\r")
          && !(offset + 1 < bytes.count && bytes[offset + 1] == UInt8(ascii: "\n")))
      if isLineEnd {
        line += 1
        place = 0
      }
      offset += 1
    }
    guard offset < bytes.count else { return nil }
    let start = offset
    while offset < bytes.count, !Self.isSpace(bytes[offset]) { offset += 1 }
    place += 1
    return start..<offset
  }

  @inline(__always)
  private static func isSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || 9...13 ~= byte }
}

extension Dataset {
  /// Creates a data set from a FANN file.
  ///
  /// - Parameters:
  ///   - file: The file's contents.
  ///   - task: The kind of the targets, as for ``init(features:targets:task:)``.
  /// - Throws: The errors of ``FANNFile/values(as:)``, and `ChainruleError.badData` for outputs that `task`
  ///   does not allow.
  public init(fann file: FANNFile, task: CSVOptions.LearningTask = .automatic) throws(ChainruleError) {
    let (features, targets): ([Scalar], [Double]) = try file.values()
    try self.init(
      features: features, inputs: file.inputs, targets: targets, outputs: file.outputs, task: task,
      bad: file.bad)
  }
}

extension FANNFile {
  fileprivate func bad(_ reason: String) -> ChainruleError {
    .badData(file: file, line: nil, column: nil, reason: reason)
  }
}
