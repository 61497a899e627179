internal import ChainrulePlatform
internal import SwiftProtobuf

typealias ElementType = Onnx_TensorProto.DataType

extension ElementType {
  /// Whether the values are numbers or Booleans (0 and 1).
  var isNumber: Bool { isReal || isInteger }
  var isReal: Bool { [.float, .double, .float16, .bfloat16].contains(self) }
  var isInteger: Bool {
    [.int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64, .bool].contains(self)
  }

  /// Returns the name of a type in ONNX.
  static func name(_ number: Int32) -> String {
    guard let type = ElementType(rawValue: Int(number)), type != .undefined, "\(type)" != "\(number)" else {
      return "\(number)"
    }
    return "\(type)".uppercased()
  }
}

/// A tensor with known values, stored in a file or computed from stored ones.
struct Constant {
  let name: String
  /// The number of the type, which may come from a later version of the format.
  let typeNumber: Int32
  let dims: [Int]
  /// The number of values.
  let count: Int
  /// Whether the values are dimensions of rows, including the two below.
  private(set) var areSizes = false
  private let storage: Storage

  private enum Storage {
    case stored(Onnx_TensorProto, TensorBytes)
    case computed([Double])
  }

  /// A dimension that is the number of rows.
  static let batchSize = -0x1p61
  /// A dimension that is not stated.
  static let unknownSize = -0x1p60

  /// Creates a constant from a tensor of a file.
  init(_ name: String, _ proto: Onnx_TensorProto, _ bytes: TensorBytes) throws(Unreadable) {
    var (count, dims): (Int, [Int]) = (1, [])
    for dim in proto.dims {
      let product = count.multipliedReportingOverflow(by: Int(dim))
      guard dim >= 0, !product.overflow else {
        throw Unreadable("tensor \(quoted(name)): no tensor has the shape \(proto.dims)")
      }
      dims.append(Int(dim))
      count = product.partialValue
    }
    self.name = name
    typeNumber = proto.dataType
    self.dims = dims
    self.count = count
    storage = .stored(proto, bytes)
  }

  /// Creates a constant from computed values, row-major.
  init(_ name: String, _ type: ElementType, _ dims: [Int], _ values: [Double], areSizes: Bool = false) {
    self.name = name
    typeNumber = Int32(type.rawValue)
    self.dims = dims
    count = values.count
    self.areSizes = areSizes
    storage = .computed(values)
  }

  var type: ElementType { ElementType(rawValue: Int(typeNumber)) ?? .undefined }
  var isDouble: Bool { type == .double }

  /// The dimensions without leading ones, which have no effect on broadcasting.
  var trimmedDims: [Int] { Array(dims.drop { $0 == 1 }) }

  /// Returns the same constant with another name.
  func named(_ name: String) -> Constant {
    guard case .computed(let values) = storage else { return self }
    return Constant(name, type, dims, values, areSizes: areSizes)
  }

  func unreadable(_ reason: String) -> Unreadable { Unreadable("tensor \(quoted(name)): \(reason)") }

  /// Returns the values as parameters, row-major.
  func numbers() throws(Unreadable) -> [Double] {
    try checkNumbers()
    return try values()
  }

  /// Throws for values that cannot be parameters.
  func checkNumbers() throws(Unreadable) {
    guard !areSizes else { throw unreadable("it has sizes of the input; expected numbers") }
    let wrong = try withValues { value in
      (0..<count).first { !value($0).isFinite }.map { ($0, value($0)) }
    }
    if let (index, value) = wrong { throw unreadable("value \(index + 1) is \(value)") }
  }

  /// Returns the stored values, which may be infinite, and are not exact for large integers.
  func values() throws(Unreadable) -> [Double] {
    if case .computed(let values) = storage { return values }
    return try withValues { value in (0..<count).map(value) }
  }

  /// Calls `body` with a function that returns the stored value at an index, without a copy of all values.
  func withValues<Result>(_ body: ((Int) -> Double) -> Result) throws(Unreadable) -> Result {
    switch storage {
    case .computed(let values): return body { values[$0] }
    case .stored(let proto, let bytes):
      // Types of less than 32 bits are stored as 32-bit integers.
      let (list, listed) = (proto.int32Data, proto.int32Data.count)
      func read<Bits: FixedWidthInteger>(
        _ count: Int, _ listed: @escaping (Int) -> Double, _ stored: @escaping (Bits) -> Double
      ) throws(Unreadable) -> Result {
        try withElements(of: proto, bytes, listed: count, listed, stored, body)
      }
      switch type {
      case .float:
        let list = proto.floatData
        return try read(list.count, { Double(list[$0]) }) { Double(Float(bitPattern: $0)) }
      case .double:
        let list = proto.doubleData
        return try read(list.count, { list[$0] }) { Double(bitPattern: $0) }
      case .float16:
        return try read(listed, { Self.half(UInt16(truncatingIfNeeded: list[$0])) }, Self.half)
      case .bfloat16:
        func brain(_ bits: UInt16) -> Double { Double(Float(bitPattern: UInt32(bits) << 16)) }
        return try read(listed, { brain(UInt16(truncatingIfNeeded: list[$0])) }, brain)
      case .int64:
        let list = proto.int64Data
        return try read(list.count, { Double(list[$0]) }) { (bits: Int64) in Double(bits) }
      case .uint64: return try read(0, { _ in 0 }) { (bits: UInt64) in Double(bits) }
      case .uint32: return try read(0, { _ in 0 }) { (bits: UInt32) in Double(bits) }
      case .int32: return try read(listed, { Double(list[$0]) }) { (bits: Int32) in Double(bits) }
      case .int16:
        return try read(listed, { Double(Int16(truncatingIfNeeded: list[$0])) }) { (bits: Int16) in
          Double(bits)
        }
      case .int8:
        return try read(listed, { Double(Int8(truncatingIfNeeded: list[$0])) }) { (bits: Int8) in Double(bits)
        }
      case .uint16:
        return try read(listed, { Double(UInt16(truncatingIfNeeded: list[$0])) }) { (bits: UInt16) in
          Double(bits)
        }
      case .uint8, .bool:
        return try read(listed, { Double(UInt8(truncatingIfNeeded: list[$0])) }) { (bits: UInt8) in
          Double(bits)
        }
      default:
        throw unreadable(
          "it is of type \(ElementType.name(typeNumber)); expected numbers, such as FLOAT or DOUBLE")
      }
    }
  }

  /// Returns the values as exact integers.
  func integers() throws(Unreadable) -> [Int64] {
    guard type.isInteger else {
      throw unreadable("it is of type \(ElementType.name(typeNumber)); expected INT32 or INT64")
    }
    guard type == .int64, case .stored(let proto, let bytes) = storage else {
      // Values of 2⁶³ and above are neither dimensions nor indices.
      return try values().map { $0 >= 0x1p63 ? .max : Int64($0) }
    }
    let list = proto.int64Data
    return try withElements(of: proto, bytes, listed: list.count, { list[$0] }, { (bits: Int64) in bits }) {
      value in
      (0..<count).map(value)
    }
  }

  /// Returns the values as names of classes: strings, or integers in decimal.
  func names() throws(Unreadable) -> [String] {
    guard type == .string, case .stored(let proto, _) = storage else { return try integers().map { "\($0)" } }
    guard proto.stringData.count == count else {
      throw unreadable("it has \(proto.stringData.count) strings; its shape \(dims) says \(count)")
    }
    return proto.stringData.map { String(decoding: $0, as: UTF8.self) }
  }

  /// Calls `body` with a function that returns an element by its index, from the list of a proto or from
  /// bytes.
  private func withElements<Bits: FixedWidthInteger, Value, Result>(
    of proto: Onnx_TensorProto, _ bytes: TensorBytes, listed: Int, _ element: @escaping (Int) -> Value,
    _ value: @escaping (Bits) -> Value, _ body: ((Int) -> Value) -> Result
  ) throws(Unreadable) -> Result {
    let size = MemoryLayout<Bits>.size
    var found = ""
    let result: Result? = try bytes.withBytes(of: proto, named: name) { raw in
      let isListed = raw.isEmpty && !proto.isExternal
      let (there, rest) = isListed ? (listed, 0) : raw.count.quotientAndRemainder(dividingBy: size)
      guard there == count, rest == 0 else {
        found = rest == 0 ? "\(there) values" : "\(raw.count) bytes"
        return nil
      }
      return isListed
        ? body(element)
        : body { value(Bits(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * size, as: Bits.self))) }
    }
    guard let result else {
      throw unreadable("it has \(found); its shape \(dims) says \(count) values")
    }
    return result
  }

  /// IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of fraction.
  private static func half(_ bits: UInt16) -> Double {
    let (exponent, fraction) = (Int(bits >> 10 & 31), Double(bits & 1023))
    let size =
      switch exponent {
      case 31: fraction == 0 ? Double.infinity : .nan
      case 0: fraction * 0x1p-24
      default: Double(sign: .plus, exponent: exponent - 25, significand: 1024 + fraction)
      }
    return bits >> 15 == 1 ? -size : size
  }
}
