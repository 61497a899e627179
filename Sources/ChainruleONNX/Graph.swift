import Foundation
internal import SwiftProtobuf

/// Why a file cannot be read: what is wrong, where, and what was expected.
struct Unreadable: Error {
  let reason: String

  init(_ reason: String) { self.reason = reason }

  init(_ node: Node, _ reason: String) { self.reason = "\(node): \(reason)" }
}

/// A name from a file as a message shows it: quoted, what does not print escaped, and not too long.
func quoted(_ name: String) -> String {
  name.count <= 60 ? name.debugDescription : (name.prefix(57) + "...").debugDescription
}

/// A node of a graph.
struct Node {
  let proto: Onnx_NodeProto
  /// Counted from 0.
  let index: Int

  /// The operator, behind its domain where it is not ONNX's own: `Gemm`, `ai.onnx.ml.Scaler`.
  var type: String {
    proto.domain.isEmpty || proto.domain == "ai.onnx" ? proto.opType : "\(proto.domain).\(proto.opType)"
  }

  var output: String { proto.output.first ?? "" }

  /// Its input number `position`; nil where it has none.
  func input(_ position: Int) -> String? {
    position < proto.input.count && !proto.input[position].isEmpty ? proto.input[position] : nil
  }

  /// The layer of which Chainrule wrote it, `layers.2/Relu`; nil for another's node.
  var layer: Int? {
    guard proto.name.hasPrefix("layers."), let slash = proto.name.firstIndex(of: "/") else { return nil }
    return Int(proto.name[proto.name.index(proto.name.startIndex, offsetBy: 7)..<slash])
  }
}

extension Node: CustomStringConvertible {
  /// How messages call it: `node "fc1" (Gemm)`, by its number, counted from 1, where it has no name.
  var description: String {
    "node \(proto.name.isEmpty ? "\(index + 1)" : quoted(proto.name)) (\(quoted(type).dropFirst().dropLast()))"
  }
}

// MARK: - Attributes

/// The attributes of a node, all of them of those it may have.
struct Attributes {
  private let node: Node
  private var values: [String: Onnx_AttributeProto] = [:]

  init(of node: Node, _ known: String...) throws(Unreadable) {
    self.node = node
    for attribute in node.proto.attribute {
      guard known.contains(attribute.name) else {
        throw Unreadable(node, "the attribute \(quoted(attribute.name)) is not supported")
      }
      guard values.updateValue(attribute, forKey: attribute.name) == nil else {
        throw Unreadable(node, "the attribute \(quoted(attribute.name)) is there twice")
      }
    }
  }

  func float(_ name: String) throws(Unreadable) -> Float? {
    guard let value = values[name] else { return nil }
    guard value.hasF, value.f.isFinite else { throw Unreadable(node, "\(name) is no finite number") }
    return value.f
  }

  func integer(_ name: String) throws(Unreadable) -> Int64? {
    guard let value = values[name] else { return nil }
    guard value.hasI else { throw Unreadable(node, "\(name) is no integer") }
    return value.i
  }

  func floats(_ name: String) -> [Float] { values[name]?.floats ?? [] }
  func integers(_ name: String) -> [Int64]? { values[name]?.ints }
  func tensor(_ name: String) -> Onnx_TensorProto? { values[name].flatMap { $0.hasT ? $0.t : nil } }

  func string(_ name: String) -> String? { values[name].map { String(decoding: $0.s, as: UTF8.self) } }
  func strings(_ name: String) -> [String] {
    values[name]?.strings.map { String(decoding: $0, as: UTF8.self) } ?? []
  }

  /// Refuses a number that is not the one that a layer of Chainrule has; as close as float32 is will do.
  func expect(_ name: String, _ expected: Double, default standard: Double) throws(Unreadable) {
    let value = try float(name) ?? Float(standard)
    guard isClose(Double(value), expected) else {
      throw Unreadable(node, "\(name) is \(value); expected \(Float(expected))")
    }
  }

  /// Refuses an integer other than `expected`.
  func expectInteger(_ name: String, _ expected: Int64, default standard: Int64) throws(Unreadable) {
    let value = try integer(name) ?? standard
    guard value == expected else { throw Unreadable(node, "\(name) is \(value); expected \(expected)") }
  }
}

/// Whether two numbers agree to what float32 keeps of them.
func isClose(_ value: Double, _ expected: Double) -> Bool { abs(value - expected) <= 1e-6 * abs(expected) }

// MARK: - Constants

/// A tensor that a file holds, still as its bytes.
struct Constant {
  let name: String
  let proto: Onnx_TensorProto
  private(set) var dims: [Int]
  /// The bytes are those of the transpose of these dims, which are two.
  private(set) var isTransposed = false
  /// The number of values.
  let count: Int

  init(_ name: String, _ proto: Onnx_TensorProto) throws(Unreadable) {
    self.name = name
    self.proto = proto
    dims = []
    var count = 1
    for dim in proto.dims {
      let product = count.multipliedReportingOverflow(by: Int(dim))
      guard dim >= 0, !product.overflow else {
        throw Unreadable("tensor \(quoted(name)): no tensor has the shape \(proto.dims)")
      }
      dims.append(Int(dim))
      count = product.partialValue
    }
    self.count = count
  }

  func transposed() -> Constant {
    var other = self
    other.dims.reverse()
    other.isTransposed.toggle()
    return other
  }

  /// The same values in another shape; `isTransposed` must be false.
  func reshaped(to dims: [Int]) -> Constant {
    var other = self
    other.dims = dims
    return other
  }

  /// The dims without the ones before them, which change nothing where a tensor is stretched to another's shape.
  var trimmedDims: [Int] { Array(dims.drop { $0 == 1 }) }

  var isDouble: Bool { proto.dataType == Onnx_TensorProto.DataType.double.rawValue }

  private func unreadable(_ reason: String) -> Unreadable { Unreadable("tensor \(quoted(name)): \(reason)") }

  /// The values as numbers, row-major.
  func numbers() throws(Unreadable) -> [Double] {
    let stored: [Double]
    switch Onnx_TensorProto.DataType(rawValue: Int(proto.dataType)) {
    case .float: stored = try values(proto.floatData, Float.init(bitPattern:)).map { Double($0) }
    case .double: stored = try values(proto.doubleData, Double.init(bitPattern:))
    case .int32, .int64: stored = try integers().map { Double($0) }
    case let other:
      throw unreadable("it is of type \(Self.name(other, proto.dataType)); expected FLOAT or DOUBLE")
    }
    if let index = stored.firstIndex(where: { !$0.isFinite }) {
      throw unreadable("value \(index + 1) is \(stored[index])")
    }
    guard isTransposed else { return stored }
    let (rows, columns) = (dims[0], dims[1])
    return Array(unsafeUninitializedCapacity: count) { values, initialized in
      for row in 0..<rows {
        for column in 0..<columns { values[row * columns + column] = stored[column * rows + row] }
      }
      initialized = count
    }
  }

  func integers() throws(Unreadable) -> [Int64] {
    switch Onnx_TensorProto.DataType(rawValue: Int(proto.dataType)) {
    case .int64: return try values(proto.int64Data, Int64.init(bitPattern:))
    case .int32: return try values(proto.int32Data, Int32.init(bitPattern:)).map { Int64($0) }
    case let other:
      throw unreadable("it is of type \(Self.name(other, proto.dataType)); expected INT32 or INT64")
    }
  }

  /// The values as names of classes: strings, or integers in decimal.
  func names() throws(Unreadable) -> [String] {
    if proto.dataType == Onnx_TensorProto.DataType.string.rawValue {
      guard proto.stringData.count == count else {
        throw unreadable("it has \(proto.stringData.count) strings; its shape \(dims) says \(count)")
      }
      return proto.stringData.map { String(decoding: $0, as: UTF8.self) }
    }
    return try integers().map { "\($0)" }
  }

  private func values<Value, Bits: FixedWidthInteger>(
    _ listed: [Value], _ value: (Bits) -> Value
  ) throws(Unreadable) -> [Value] {
    guard proto.dataLocation == .default, proto.externalData.isEmpty else {
      throw unreadable("its values are in another file; expected them in this one")
    }
    let size = MemoryLayout<Bits>.size
    let raw = proto.rawData
    let (there, rest) = raw.isEmpty ? (listed.count, 0) : raw.count.quotientAndRemainder(dividingBy: size)
    guard there == count, rest == 0 else {
      let found = rest == 0 ? "\(there) values" : "\(raw.count) bytes"
      throw unreadable("it has \(found); its shape \(proto.dims) says \(count) values")
    }
    guard !raw.isEmpty else { return listed }
    return raw.withUnsafeBytes { bytes in
      (0..<count).map {
        value(Bits(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * size, as: Bits.self)))
      }
    }
  }

  /// A type as ONNX calls it.
  static func name(_ type: Onnx_TensorProto.DataType?, _ number: Int32) -> String {
    guard let type, type != .undefined else { return "\(number)" }
    return "\(type)".uppercased()
  }
}
