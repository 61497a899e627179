/// A file of FANN's training data, as `fann_save_train` writes it.
///
///     rows inputs outputs
///     the inputs of the first row
///     its outputs
///     the inputs of the second row
///     …
///
/// Numbers stand between spaces or tabs; blank lines are skipped. The locale has no say.
public struct FANNFile: Sendable {
  /// The number of rows, at least 1.
  public let rows: Int
  /// The number of inputs of a row, at least 1.
  public let inputs: Int
  /// The number of outputs of a row, at least 1.
  public let outputs: Int
  private let bytes: [UInt8]
  private let file: String?
  /// Where the line behind the header begins.
  private let start: Int
  /// The number of that line.
  private let firstLine: Int

  /// Reads the file at `path`, gzip-compressed or not.
  ///
  /// - Throws: As ``DataFile/init(_:format:)``, and `ChainruleError.badData` for a header that is none, or says more numbers
  ///   than there can be.
  public init(file path: String) throws(ChainruleError) {
    try self.init(DataFile(path, format: .fann))
  }

  /// Takes a file that has been read.
  ///
  /// - Throws: `ChainruleError.badData` as ``init(file:)``.
  public init(_ file: DataFile) throws(ChainruleError) {
    try self.init(bytes: file.bytes, file: file.name)
  }

  init(bytes: [UInt8], file: String? = nil) throws(ChainruleError) {
    var lines = FANNLines(bytes)
    let cells = lines.next() ?? 0..<0
    let header = Self.header(bytes[cells])
    func bad(_ reason: String) -> ChainruleError {
      .badData(file: file, line: max(lines.number, 1), column: nil, reason: reason)
    }
    guard let header, header.allSatisfy({ $0 >= 1 }) else {
      throw bad("the first line of FANN's data is rows inputs outputs, three whole numbers of at least 1")
    }
    let (columns, isTooWide) = header[1].addingReportingOverflow(header[2])
    let (numbers, isTooLarge) = columns.multipliedReportingOverflow(by: header[0])
    // A number takes a digit and what separates it from the next.
    guard !isTooWide, !isTooLarge, numbers <= bytes.count / 2 else {
      throw bad(
        "\(header[0]) rows of \(header[1]) inputs and \(header[2]) outputs are more than the file's \(bytes.count) bytes "
          + "can hold")
    }
    (rows, inputs, outputs) = (header[0], header[1], header[2])
    self.bytes = bytes
    self.file = file
    (start, firstLine) = (lines.offset, lines.number + 1)
  }

  /// Whether the first line of a text is three whole numbers between spaces.
  static func hasHeader(_ head: [UInt8]) -> Bool {
    var lines = FANNLines(head)
    return lines.next().flatMap { header(head[$0]) } != nil
  }

  private static func header(_ line: ArraySlice<UInt8>) -> [Int]? {
    guard line.count <= 100 else { return nil }
    let numbers = line.split(whereSeparator: isSpace).map { cell in
      cell.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        ? Int(String(decoding: cell, as: UTF8.self)) : nil
    }
    return numbers.count == 3 && !numbers.contains(nil) ? numbers.compactMap(\.self) : nil
  }

  /// The inputs, row-major rows × ``inputs``, and the outputs, rows × ``outputs``.
  ///
  /// - Throws: `ChainruleError.badData` with line and column, the place of a number in its line, for a line with more or
  ///   fewer numbers than it should have, something that is no number or not finite in its type, and lines that lack or
  ///   are too many.
  public func values<Scalar: NetworkScalar>(
    as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> (inputs: [Scalar], outputs: [Double]) {
    var lines = FANNLines(bytes, from: start, line: firstLine)
    var (x, y): ([Scalar], [Double]) = ([], [])
    x.reserveCapacity(rows * inputs)
    y.reserveCapacity(rows * outputs)
    for row in 0..<rows {
      try read(&lines, inputs, "inputs", row, into: &x)
      try read(&lines, outputs, "outputs", row, into: &y)
    }
    if lines.next() != nil {
      throw .badData(
        file: file, line: lines.number, column: nil,
        reason: "there are more lines than the \(rows) rows of the header")
    }
    return (x, y)
  }

  /// Appends the numbers of the next line, `count` of them.
  private func read<Scalar: NetworkScalar>(
    _ lines: inout FANNLines, _ count: Int, _ what: String, _ row: Int, into numbers: inout [Scalar]
  ) throws(ChainruleError) {
    guard let line = lines.next() else {
      throw .badData(
        file: file, line: nil, column: nil,
        reason: "the file ends before the \(what) of row \(row + 1); the header says \(rows) rows")
    }
    let found = bytes.withUnsafeBytes { bytes in
      Self.numbers(
        in: UnsafeRawBufferPointer(rebasing: bytes[..<line.upperBound]), from: line.lowerBound, into: &numbers
      )
    }
    if let bad = found.bad {
      let text = String(decoding: bytes[bad].prefix(40), as: UTF8.self)
      throw .badData(
        file: file, line: lines.number, column: found.count + 1,
        reason: "\"\(text)\" is no finite number of \(Scalar.scalarType.rawValue)")
    }
    guard found.count == count else {
      throw .badData(
        file: file, line: lines.number, column: nil,
        reason: "expected the \(count) \(what) of row \(row + 1), got \(found.count) numbers")
    }
  }

  /// Appends the numbers from `start` to the end of `text`; `bad` is the first cell that is none.
  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  private static func numbers<Scalar: NetworkScalar>(
    in text: UnsafeRawBufferPointer, from start: Int, into numbers: inout [Scalar]
  ) -> (count: Int, bad: Range<Int>?) {
    var (index, count) = (start, 0)
    while true {
      while index < text.count, isSpace(text[index]) { index += 1 }
      if index == text.count { return (count, nil) }
      guard let number: (value: Scalar, end: Int) = decimalNumber(at: index, in: text), number.value.isFinite,
        number.end == text.count || isSpace(text[number.end])
      else {
        var end = index
        while end < text.count, !isSpace(text[end]) { end += 1 }
        return (count, index..<end)
      }
      numbers.append(number.value)
      index = number.end
      count += 1
    }
  }
}

@inline(__always)
private func isSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

/// The lines of a text that are not blank, each as the range of its bytes.
private struct FANNLines {
  private let bytes: [UInt8]
  /// Where the next line begins.
  private(set) var offset: Int
  /// The number of the line in hand, counted from 1.
  private(set) var number: Int

  init(_ bytes: [UInt8], from offset: Int = 0, line: Int = 1) {
    self.bytes = bytes
    self.offset = offset
    number = line - 1
  }

  mutating func next() -> Range<Int>? {
    while offset < bytes.count {
      let start = offset
      var end = start
      while end < bytes.count, bytes[end] != UInt8(ascii: "\n"), bytes[end] != UInt8(ascii: "\r") { end += 1 }
      let isPair =
        end + 1 < bytes.count && bytes[end] == UInt8(ascii: "\r") && bytes[end + 1] == UInt8(ascii: "\n")
      offset = min(end + (isPair ? 2 : 1), bytes.count)
      number += 1
      if !bytes[start..<end].allSatisfy(isSpace) { return start..<end }
    }
    return nil
  }
}

extension Dataset {
  /// A data set from a file of FANN's.
  ///
  /// - Parameter task: Whether the outputs are classes, as for ``init(features:targets:task:)``.
  /// - Throws: `ChainruleError.badData` as ``FANNFile/values(as:)``, and for classes that are none.
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
