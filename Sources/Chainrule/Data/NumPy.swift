/// The rows of two `.npy` files, as `numpy.save` writes them, read batch by batch.
///
///     let source = try NumPySource<Float>(features: "x.npy", targets: "y.npy")
///
/// The arrays are of format 1.0, 2.0 or 3.0, in C order, of booleans, integers of 8 to 64 bits or floats of 16 to 64, in
/// either byte order. The first dimension counts the rows; those that follow, if any, make the columns. Numbers are taken
/// as they stand, rounded to `Scalar`. The files must stay as they are while the source is in use.
public struct NumPySource<Scalar: NetworkScalar>: BatchSource {
  private let pair: ArrayPair

  /// The number of elements of a row of features.
  public var inputs: Int { pair.inputs }
  /// The number of elements of a row of targets; for classes, the number of classes.
  public var outputs: Int { pair.outputs }
  /// The number of rows.
  public var rowCount: Int? { pair.features.rows }
  /// The classes; nil where the targets are numbers to predict.
  public var classLabels: [String]? { pair.classLabels }

  /// - Parameters:
  ///   - features: The path of an array of rows × inputs.
  ///   - targets: That of an array of rows × outputs or, with `classLabels`, of one class number a row.
  ///   - classLabels: The names of the classes 0, 1, …; nil: the targets are numbers to predict.
  /// - Throws: `ChainruleError.file` for a file that cannot be read; `.badData` for one that is not of the format, is
  ///   shorter or longer than its header says, or where the two do not fit one another; `.invalidValue` for classes that
  ///   are not at least one, each once. The iterator throws `.badData` for a number that is NaN or infinite, or a class
  ///   number out of range.
  public init(features: String, targets: String, classLabels: [String]? = nil) throws(ChainruleError) {
    if let classLabels {
      try Dataset<Scalar>.checkClasses(classLabels)
      guard !classLabels.isEmpty else {
        throw .invalidValue(name: "classLabels", value: "none", expected: "at least one")
      }
    }
    pair = try ArrayPair(
      features: ArrayFile(npy: features), targets: ArrayFile(npy: targets), classLabels: classLabels)
  }

  /// The rows in the order of the files.
  public func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> ArrayBatches<Scalar> {
    try ArrayBatches(pair, size: size)
  }
}

// MARK: - Headers

extension ArrayFile {
  /// The `.npy` file at `path`.
  ///
  ///     file   = 0x93 "NUMPY" major minor length header elements
  ///     length = of the header in bytes, little-endian: 2 bytes in format 1.0, 4 in 2.0 and 3.0
  ///     header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", spaces, a line feed
  ///
  /// As of NumPy's `numpy.lib.format`.
  init(npy path: String) throws(ChainruleError) {
    let reader = try FileReader(path)
    func bad(_ reason: String) -> ChainruleError {
      .badData(file: path, line: nil, column: nil, reason: reason)
    }

    let prefix = try reader.bytes(at: 0, count: 12)
    guard !prefix.starts(with: Array("PK".utf8)) else {
      throw bad("this is an .npz archive; unpack the .npy files in it first")
    }
    guard prefix.starts(with: [0x93] + Array("NUMPY".utf8)) else {
      throw bad("this is no .npy file: one begins with the byte 0x93 and NUMPY")
    }
    guard prefix.count >= 8 else { throw bad("the file ends in its header: \(prefix.count) bytes") }
    guard 1...3 ~= prefix[6], prefix[7] == 0 else {
      throw bad("the .npy format is \(prefix[6]).\(prefix[7]); expected 1.0, 2.0 or 3.0")
    }
    let start = prefix[6] == 1 ? 10 : 12
    guard prefix.count >= start else { throw bad("the file ends in its header: \(prefix.count) bytes") }
    let length = prefix[8..<start].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= 1 << 16 else {
      throw bad("the .npy header is \(length) bytes long; expected at most \(1 << 16)")
    }
    let header = try reader.bytes(at: start, count: length)
    guard header.count == length else {
      throw bad("the file ends in its header: \(start + header.count) bytes of \(start + length)")
    }
    guard header.last == UInt8(ascii: "\n") else {
      throw bad("the .npy header does not end with a line feed")
    }

    var parser = NumPyHeader(bytes: header, path: path)
    (element, dimensions) = try parser.array()
    self.path = path
    offset = start + length

    let shape = dimensions.map(String.init).joined(separator: " × ")
    var size = element.size
    for dimension in dimensions {
      let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
      guard !overflow else { throw bad("the dimensions \(shape) are too large") }
      size = product
    }
    guard reader.size - offset == size else {
      throw bad(
        "expected \(size) bytes after the header, for \(shape) elements of \(element.kind); "
          + "got \(reader.size - offset)")
    }
  }
}

/// The dictionary of an `.npy` header, a literal of Python with three keys.
private struct NumPyHeader {
  let bytes: [UInt8]
  let path: String
  private var index = 0

  init(bytes: [UInt8], path: String) {
    self.bytes = bytes
    self.path = path
  }

  private func bad(_ reason: String) -> ChainruleError {
    .badData(file: path, line: nil, column: nil, reason: "the .npy header: \(reason)")
  }

  mutating func array() throws(ChainruleError) -> (element: ArrayFile.Element, dimensions: [Int]) {
    var (element, isFortran, dimensions): (ArrayFile.Element?, Bool?, [Int]?)
    guard take("{") else { throw bad("expected a dictionary, which begins with {") }
    while !take("}") {
      guard let key = try string() else { throw bad("expected a key in quotes, or }, at byte \(index + 1)") }
      guard take(":") else { throw bad("expected : behind '\(key)'") }
      let isTwice: Bool
      switch key {
      case "descr":
        isTwice = element != nil
        element = try type()
      case "fortran_order":
        isTwice = isFortran != nil
        isFortran = try boolean()
      case "shape":
        isTwice = dimensions != nil
        dimensions = try shape()
      default: throw bad("the key '\(key)' is unknown; expected 'descr', 'fortran_order' and 'shape'")
      }
      if isTwice { throw bad("the key '\(key)' stands twice") }
      if take(",") { continue }
      guard take("}") else { throw bad("expected , or } behind the value of '\(key)'") }
      break
    }
    skipSpaces()
    guard index == bytes.count else { throw bad("there is text behind the dictionary") }

    guard let element else { throw bad("the key 'descr' is missing") }
    guard let isFortran else { throw bad("the key 'fortran_order' is missing") }
    guard let dimensions else { throw bad("the key 'shape' is missing") }
    guard !dimensions.isEmpty else {
      throw bad("the array is a single number; expected at least 1 dimension")
    }
    guard !dimensions.contains(0) else {
      throw bad(
        "the dimensions are \(dimensions.map(String.init).joined(separator: " × ")); expected at least 1 each"
      )
    }
    guard !isFortran || dimensions.count == 1 else {
      throw bad("the array is in Fortran order; save numpy.ascontiguousarray of it")
    }
    return (element, dimensions)
  }

  private mutating func skipSpaces() {
    while index < bytes.count,
      [UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\t")].contains(bytes[index])
    {
      index += 1
    }
  }

  /// Whether `text` is next, behind spaces; it is then behind.
  private mutating func take(_ text: String) -> Bool {
    skipSpaces()
    guard bytes[index...].starts(with: text.utf8) else { return false }
    index += text.utf8.count
    return true
  }

  /// A text in single or double quotes; nil where none is next. No text that may stand here has a backslash.
  private mutating func string() throws(ChainruleError) -> String? {
    guard let quote = ["'", "\""].first(where: { take($0) })?.utf8.first else { return nil }
    guard let end = bytes[index...].firstIndex(of: quote) else { throw bad("a quote does not close") }
    defer { index = end + 1 }
    return String(decoding: bytes[index..<end], as: UTF8.self)
  }

  /// The element type, such as '<f4': byte order, kind, bytes.
  private mutating func type() throws(ChainruleError) -> ArrayFile.Element {
    guard let text = try string() else {
      if take("[") { throw bad("'descr' is a list, of a structured array; expected one of plain numbers") }
      throw bad("'descr' is no text in quotes")
    }
    let kinds: [String: ArrayFile.Element.Kind] = [
      "b1": .bool, "i1": .int8, "i2": .int16, "i4": .int32, "i8": .int64, "u1": .uint8, "u2": .uint16,
      "u4": .uint32,
      "u8": .uint64, "f2": .float16, "f4": .float32, "f8": .float64,
    ]
    guard let kind = kinds[String(text.dropFirst())] else {
      throw bad(
        "the element type is '\(text)'; expected b1, i1 to i8, u1 to u8 or f2 to f8 behind a byte order")
    }
    let isByte = kind == .bool || kind == .int8 || kind == .uint8
    switch text.first {
    case "<": return ArrayFile.Element(kind: kind)
    case ">": return ArrayFile.Element(kind: kind, isBigEndian: true)
    case "|" where isByte: return ArrayFile.Element(kind: kind)
    default: throw bad("the byte order of '\(text)' is unknown; expected < or >\(isByte ? " or |" : "")")
    }
  }

  private mutating func boolean() throws(ChainruleError) -> Bool {
    if take("True") { return true }
    if take("False") { return false }
    throw bad("'fortran_order' is neither True nor False")
  }

  /// A tuple of integers: (), (3,) or (3, 4).
  private mutating func shape() throws(ChainruleError) -> [Int] {
    guard take("(") else { throw bad("'shape' is no tuple, which begins with (") }
    var dimensions: [Int] = []
    while !take(")") {
      let start = index
      while index < bytes.count, UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[index] { index += 1 }
      guard index > start else { throw bad("'shape' has something that is no integer of at least 0") }
      guard let dimension = Int(String(decoding: bytes[start..<index], as: UTF8.self)) else {
        throw bad("a dimension of 'shape' is too large")
      }
      dimensions.append(dimension)
      if take(",") { continue }
      guard take(")") else { throw bad("expected , or ) behind a dimension of 'shape'") }
      guard dimensions.count > 1 else {
        throw bad("'shape' is a number in parentheses; a tuple of one is (3,)")
      }
      break
    }
    return dimensions
  }
}
