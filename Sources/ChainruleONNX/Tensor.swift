#if canImport(FoundationEssentials)
  internal import FoundationEssentials
#else
  internal import Foundation
#endif
internal import SwiftProtobuf

typealias ElementType = Onnx_TensorProto.DataType

extension ElementType {
  /// Whether values are numbers, or 0 and 1.
  var isNumber: Bool { isReal || isInteger }
  var isReal: Bool { [.float, .double, .float16, .bfloat16].contains(self) }
  var isInteger: Bool {
    [.int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64, .bool].contains(self)
  }

  /// A type as ONNX calls it.
  static func name(_ number: Int32) -> String {
    guard let type = ElementType(rawValue: Int(number)), type != .undefined, "\(type)" != "\(number)" else {
      return "\(number)"
    }
    return "\(type)".uppercased()
  }
}

/// A tensor whose values are known: as a file holds them, or computed of such.
struct Constant {
  let name: String
  /// The number of the type, which a file may have from a later version of the format.
  let typeNumber: Int32
  let dims: [Int]
  /// The number of values.
  let count: Int
  /// Whether values are sizes of rows, among them the two below.
  private(set) var areSizes = false
  private let storage: Storage

  private enum Storage {
    case stored(Onnx_TensorProto, ExternalFiles)
    case computed([Double])
  }

  /// Stands for the number of rows among sizes.
  static let batchSize = -0x1p61
  /// Stands for a size that no one has stated.
  static let unknownSize = -0x1p60

  /// A tensor of a file.
  init(_ name: String, _ proto: Onnx_TensorProto, _ files: ExternalFiles) throws(Unreadable) {
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
    storage = .stored(proto, files)
  }

  /// Computed values, row-major.
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

  /// The dims without the ones before them, which change nothing where a tensor is stretched to another's shape.
  var trimmedDims: [Int] { Array(dims.drop { $0 == 1 }) }

  /// The same with another name.
  func named(_ name: String) -> Constant {
    guard case .computed(let values) = storage else { return self }
    return Constant(name, type, dims, values, areSizes: areSizes)
  }

  func unreadable(_ reason: String) -> Unreadable { Unreadable("tensor \(quoted(name)): \(reason)") }

  /// The values as parameters, row-major.
  func numbers() throws(Unreadable) -> [Double] {
    guard !areSizes else { throw unreadable("it has sizes of the input; expected numbers") }
    let values = try values()
    if let index = values.firstIndex(where: { !$0.isFinite }) {
      throw unreadable("value \(index + 1) is \(values[index])")
    }
    return values
  }

  /// The values as they stand, which may be infinite and not exact for large integers.
  func values() throws(Unreadable) -> [Double] {
    guard case .stored(let proto, let files) = storage else {
      guard case .computed(let values) = storage else { return [] }
      return values
    }
    func stored<Bits: FixedWidthInteger>(
      _ listed: @autoclosure () -> [Bits], _ value: (Bits) -> Double
    ) throws(Unreadable) -> [Double] {
      try read(proto, files, listed(), value)
    }
    return switch type {
    case .float: try stored(proto.floatData.map(\.bitPattern)) { Double(Float(bitPattern: $0)) }
    case .double: try stored(proto.doubleData.map(\.bitPattern)) { Double(bitPattern: $0) }
    case .float16: try stored(proto.int32Data.map(UInt16.init(truncatingIfNeeded:)), half)
    case .bfloat16:
      try stored(proto.int32Data.map(UInt16.init(truncatingIfNeeded:))) {
        Double(Float(bitPattern: UInt32($0) << 16))
      }
    case .int64: try stored(proto.int64Data) { Double($0) }
    case .uint64: try stored([]) { (bits: UInt64) in Double(bits) }
    case .uint32: try stored([]) { (bits: UInt32) in Double(bits) }
    case .int32: try stored(proto.int32Data) { Double($0) }
    case .int16: try stored(proto.int32Data.map(Int16.init(truncatingIfNeeded:))) { Double($0) }
    case .int8: try stored(proto.int32Data.map(Int8.init(truncatingIfNeeded:))) { Double($0) }
    case .uint16: try stored(proto.int32Data.map(UInt16.init(truncatingIfNeeded:))) { Double($0) }
    case .uint8, .bool: try stored(proto.int32Data.map(UInt8.init(truncatingIfNeeded:))) { Double($0) }
    default:
      throw unreadable(
        "it is of type \(ElementType.name(typeNumber)); expected numbers, such as FLOAT or DOUBLE")
    }
  }

  /// The values as integers, exactly.
  func integers() throws(Unreadable) -> [Int64] {
    guard type.isInteger else {
      throw unreadable("it is of type \(ElementType.name(typeNumber)); expected INT32 or INT64")
    }
    guard type == .int64, case .stored(let proto, let files) = storage else {
      // Those above 2⁶³ are no sizes and no indices.
      return try values().map { $0 >= 0x1p63 ? .max : Int64($0) }
    }
    return try read(proto, files, proto.int64Data) { $0 }
  }

  /// The values as names of classes: strings, or integers in decimal.
  func names() throws(Unreadable) -> [String] {
    guard type == .string, case .stored(let proto, _) = storage else { return try integers().map { "\($0)" } }
    guard proto.stringData.count == count else {
      throw unreadable("it has \(proto.stringData.count) strings; its shape \(dims) says \(count)")
    }
    return proto.stringData.map { String(decoding: $0, as: UTF8.self) }
  }

  /// The values in the list of a proto, or in its bytes, or in those of another file.
  private func read<Bits: FixedWidthInteger, Value>(
    _ proto: Onnx_TensorProto, _ files: ExternalFiles, _ listed: @autoclosure () -> [Bits],
    _ value: (Bits) -> Value
  ) throws(Unreadable) -> [Value] {
    let isExternal = proto.dataLocation == .external || !proto.externalData.isEmpty
    let raw = isExternal ? try files.bytes(of: proto, named: name) : proto.rawData
    let list = raw.isEmpty && !isExternal ? listed() : []
    let size = MemoryLayout<Bits>.size
    let (there, rest) = raw.isEmpty ? (list.count, 0) : raw.count.quotientAndRemainder(dividingBy: size)
    guard there == count, rest == 0 else {
      let found = rest == 0 ? "\(there) values" : "\(raw.count) bytes"
      throw unreadable("it has \(found); its shape \(dims) says \(count) values")
    }
    guard !raw.isEmpty else { return list.map(value) }
    return raw.withUnsafeBytes { bytes in
      (0..<count).map {
        value(Bits(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * size, as: Bits.self)))
      }
    }
  }

  /// IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of fraction.
  private func half(_ bits: UInt16) -> Double {
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
