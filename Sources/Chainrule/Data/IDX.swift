/// The contents of an IDX file, the format of MNIST: two zero bytes, the element type, the number of
/// dimensions d, d sizes as big-endian 32-bit integers, then the elements, big-endian and row-major.
public struct IDXFile: Sendable {
  /// The codes of the element types.
  enum Element: UInt8 {
    case uint8 = 0x08
    case int8 = 0x09
    case int16 = 0x0B
    case int32 = 0x0C
    case float32 = 0x0D
    case float64 = 0x0E

    /// Bytes an element.
    var size: Int {
      switch self {
      case .uint8, .int8: 1
      case .int16: 2
      case .int32, .float32: 4
      case .float64: 8
      }
    }
  }

  let element: Element
  /// The sizes of the array, the rows first: at least one, each at least 1.
  public let dimensions: [Int]
  private let bytes: [UInt8]
  private let file: String?
  private var headerSize: Int { 4 + 4 * dimensions.count }

  /// Reads the IDX file at `path`.
  ///
  /// - Throws: `ChainruleError.file` for a file that cannot be read, `.badData` for one that is
  ///   gzip-compressed, is not IDX, or is shorter or longer than its header says.
  public init(file path: String) throws(ChainruleError) {
    try self.init(bytes: readBytes(ofFile: path), file: path)
  }

  /// Checks that the file is as long as its header says.
  init(bytes: [UInt8], file: String? = nil) throws(ChainruleError) {
    (element, dimensions) = try Self.header(in: bytes, size: bytes.count, file: file)
    self.bytes = bytes
    self.file = file
  }

  /// The most bytes of a header.
  static let maximumHeader = 4 + 4 * Int(UInt8.max)

  /// What the header says of a file of `size` bytes, of which `bytes` are the first, ``maximumHeader`` at least where
  /// there are as many.
  static func header(
    in bytes: [UInt8], size fileSize: Int, file: String?
  ) throws(ChainruleError) -> (element: Element, dimensions: [Int]) {
    func bad(_ reason: String) -> ChainruleError {
      .badData(file: file, line: nil, column: nil, reason: reason)
    }
    guard bytes.count >= 4, bytes[0] == 0, bytes[1] == 0 else {
      throw bad("this is no IDX file: one begins with two zero bytes, a type and a number of dimensions")
    }
    guard let element = Element(rawValue: bytes[2]) else {
      throw bad("the IDX element type is 0x\(String(bytes[2], radix: 16)); expected 0x8, 0x9 or 0xb to 0xe")
    }
    let rank = Int(bytes[3])
    guard rank >= 1 else { throw bad("the IDX header gives no dimensions") }
    guard bytes.count >= 4 + 4 * rank else {
      throw bad("the file ends in its header: \(bytes.count) bytes of \(4 + 4 * rank)")
    }

    let dimensions = (1...rank).map { Int(bigEndian(bytes, at: 4 * $0) as UInt32) }
    let shape = dimensions.map(String.init).joined(separator: " × ")
    guard !dimensions.contains(0) else {
      throw bad("the IDX dimensions are \(shape); expected at least 1 each")
    }
    var size = element.size
    for dimension in dimensions {
      let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
      guard !overflow else { throw bad("the IDX dimensions \(shape) are too large") }
      size = product
    }
    guard fileSize - 4 - 4 * rank == size else {
      throw bad(
        "expected \(size) bytes after the header, for \(shape) elements; got \(fileSize - 4 - 4 * rank)")
    }
    return (element, dimensions)
  }

  func bad(_ reason: String) -> ChainruleError {
    .badData(file: file, line: nil, column: nil, reason: reason)
  }

  /// All elements, row-major: unsigned bytes divided by 255, so from 0 to 1, others as they are.
  ///
  /// - Throws: `ChainruleError.badData` for an element that is NaN or infinite in `Scalar`.
  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  public func values<Scalar: NetworkScalar>(
    as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> [Scalar] {
    let offsets = stride(from: headerSize, to: bytes.count, by: element.size)
    let values: [Scalar] =
      switch element {
      case .uint8: offsets.map { Scalar(bytes[$0]) / 255 }
      case .int8: offsets.map { Scalar(Int8(bitPattern: bytes[$0])) }
      case .int16: offsets.map { Scalar(Int16(bitPattern: bigEndian(bytes, at: $0))) }
      case .int32: offsets.map { Scalar(Int32(bitPattern: bigEndian(bytes, at: $0))) }
      case .float32: offsets.map { Scalar(Float(bitPattern: bigEndian(bytes, at: $0))) }
      case .float64: offsets.map { Scalar(Double(bitPattern: bigEndian(bytes, at: $0))) }
      }
    if let index = values.firstIndex(where: { !$0.isFinite }) {
      let columns = values.count / dimensions[0]
      throw bad(
        "row \(index / columns + 1), column \(index % columns + 1) is \(values[index]) "
          + "in \(Scalar.scalarType.rawValue); expected a finite number")
    }
    return values
  }

  /// All elements as class numbers: integers from 0 to `limit` - 1.
  func labels(below limit: Int) throws(ChainruleError) -> [Int] {
    let offsets = stride(from: headerSize, to: bytes.count, by: element.size)
    let labels: [Int]
    switch element {
    case .uint8: labels = offsets.map { Int(bytes[$0]) }
    case .int8: labels = offsets.map { Int(Int8(bitPattern: bytes[$0])) }
    case .int16: labels = offsets.map { Int(Int16(bitPattern: bigEndian(bytes, at: $0))) }
    case .int32: labels = offsets.map { Int(Int32(bitPattern: bigEndian(bytes, at: $0))) }
    case .float32, .float64: throw bad("the labels are \(element); expected integers")
    }
    if let row = labels.firstIndex(where: { !(0..<limit ~= $0) }) {
      throw bad("the label of row \(row + 1) is \(labels[row]); expected 0 to \(limit - 1)")
    }
    return labels
  }
}

/// The integer that begins at `offset`, its highest byte first.
private func bigEndian<Integer: FixedWidthInteger>(_ bytes: [UInt8], at offset: Int) -> Integer {
  bytes[offset..<offset + Integer.bitWidth / 8].reduce(0) { $0 << 8 | Integer($1) }
}

extension Dataset {
  /// A data set of classes from two IDX files, such as MNIST's: an array of images, rows × height × width
  /// (any number of dimensions; those after the first make the inputs), and an array of labels.
  ///
  /// Unsigned bytes become levels from 0 to 1 (divided by 255); elements of other types stay as they are.
  /// The classes are 0 to the highest label that occurs.
  ///
  /// - Throws: `ChainruleError.file` for a file that cannot be read, `.badData` for one that is
  ///   gzip-compressed, is not IDX, is shorter or longer than its header says, or holds NaN, infinity or a
  ///   negative label, and where there is not one label an image.
  public init(idxImages imagesPath: String, labels labelsPath: String) throws(ChainruleError) {
    try self.init(images: IDXFile(file: imagesPath), labels: IDXFile(file: labelsPath))
  }

  init(images: IDXFile, labels labelFile: IDXFile) throws(ChainruleError) {
    guard labelFile.dimensions.count == 1 else {
      throw labelFile.bad("the labels have \(labelFile.dimensions.count) dimensions; expected 1")
    }
    guard labelFile.dimensions[0] == images.dimensions[0] else {
      throw labelFile.bad("there are \(labelFile.dimensions[0]) labels for \(images.dimensions[0]) images")
    }
    let labels = try labelFile.labels(below: Self.maximumClasses)
    try self.init(
      features: images.values(), inputs: images.dimensions.dropFirst().reduce(1, *),
      labels: labels.map(String.init), classes: (0...labels.max()!).map(String.init))
  }
}
