internal import ChainrulePlatform
internal import SwiftProtobuf

/// The reason that a file cannot be read: what is wrong, where, and what was expected.
///
/// Messages count nodes, inputs and values from 1.
struct Unreadable: Error {
  let reason: String

  init(_ reason: String) { self.reason = reason }

  init(_ node: Node, _ reason: String) { self.reason = "\(node): \(reason)" }
}

/// Returns a name from a file for a message: quoted, with non-printing characters escaped, and shortened.
func quoted(_ name: String) -> String {
  name.count <= 60 ? name.debugDescription : (name.prefix(57) + "...").debugDescription
}

/// A node of a graph.
struct Node {
  let proto: Onnx_NodeProto
  /// Counted from 0.
  let index: Int
  /// The version of ONNX's standard operators.
  let opset: Int64

  /// The operator, prefixed with its domain if that is not ONNX's: `Gemm`, `ai.onnx.ml.Scaler`.
  var type: String {
    proto.domain.isEmpty || proto.domain == "ai.onnx" ? proto.opType : "\(proto.domain).\(proto.opType)"
  }

  var output: String { proto.output.first ?? "" }

  /// Returns the name of input number `position`; `nil` if it has none.
  func input(_ position: Int) -> String? {
    position < proto.input.count && !proto.input[position].isEmpty ? proto.input[position] : nil
  }

  /// The layer for which Chainrule wrote the node, as in `layers.2/Relu`; `nil` for nodes of other programs.
  var layer: Int? {
    guard proto.name.hasPrefix("layers."), let slash = proto.name.firstIndex(of: "/") else { return nil }
    return Int(proto.name[proto.name.index(proto.name.startIndex, offsetBy: 7)..<slash])
  }
}

extension Node: CustomStringConvertible {
  /// The name in messages: `node "fc1" (Gemm)`, or its number, counted from 1, if it has no name.
  var description: String {
    "node \(proto.name.isEmpty ? "\(index + 1)" : quoted(proto.name)) (\(quoted(type).dropFirst().dropLast()))"
  }
}

// MARK: - Attributes

/// The attributes of a node, checked to be among the allowed ones.
struct Attributes {
  /// Attributes of operators before opset 7. They stated how the second input is broadcast: as in NumPy,
  /// along the last axis.
  static let old = ["consumed_inputs", "broadcast", "axis", "is_test"]

  private let node: Node
  private var values: [String: Onnx_AttributeProto] = [:]

  init(of node: Node, _ known: String...) throws(Unreadable) {
    self.node = node
    let old = node.opset < 7 ? Self.old : []
    for attribute in node.proto.attribute {
      if old.contains(attribute.name), !known.contains(attribute.name) {
        let expected: [Int64] =
          attribute.name == "broadcast" ? [0, 1] : attribute.name == "axis" ? [1, -1] : [1]
        guard attribute.name == "consumed_inputs" || expected.contains(attribute.i) else {
          throw Unreadable(node, "\(attribute.name) is \(attribute.i); expected \(expected[0])")
        }
        continue
      }
      guard known.contains(attribute.name) else {
        throw Unreadable(node, "the attribute \(quoted(attribute.name)) is not supported")
      }
      guard values.updateValue(attribute, forKey: attribute.name) == nil else {
        throw Unreadable(node, "the attribute \(quoted(attribute.name)) occurs twice")
      }
    }
  }

  func float(_ name: String) throws(Unreadable) -> Float? {
    guard let value = values[name] else { return nil }
    guard value.hasF, value.f.isFinite else { throw Unreadable(node, "\(name) is not a finite number") }
    return value.f
  }

  func integer(_ name: String) throws(Unreadable) -> Int64? {
    guard let value = values[name] else { return nil }
    guard value.hasI else { throw Unreadable(node, "\(name) is not an integer") }
    return value.i
  }

  func floats(_ name: String) -> [Float] { values[name]?.floats ?? [] }
  func integers(_ name: String) -> [Int64]? { values[name]?.ints }
  func tensor(_ name: String) -> Onnx_TensorProto? { values[name].flatMap { $0.hasT ? $0.t : nil } }

  func string(_ name: String) -> String? { values[name].map { String(decoding: $0.s, as: UTF8.self) } }
  func strings(_ name: String) -> [String] {
    values[name]?.strings.map { String(decoding: $0, as: UTF8.self) } ?? []
  }

  /// Throws for a number that differs from that of Chainrule's layer by more than float32 precision.
  func expect(_ name: String, _ expected: Double, default standard: Double) throws(Unreadable) {
    let value = try float(name) ?? Float(standard)
    guard isClose(Double(value), expected) else {
      throw Unreadable(node, "\(name) is \(value); expected \(Float(expected))")
    }
  }

  /// Throws for an integer other than `expected`.
  func expectInteger(_ name: String, _ expected: Int64, default standard: Int64) throws(Unreadable) {
    let value = try integer(name) ?? standard
    guard value == expected else { throw Unreadable(node, "\(name) is \(value); expected \(expected)") }
  }
}

/// Whether two numbers agree to float32 precision.
func isClose(_ value: Double, _ expected: Double) -> Bool { abs(value - expected) <= 1e-6 * abs(expected) }

// MARK: - The graph

/// The computation in a file: constants, and nodes in an order in which each uses existing tensors.
struct Graph {
  /// An input of the graph.
  struct Input {
    let name: String
    let typeNumber: Int32
    /// The number of rows if it is stated.
    let batch: Int?
    /// The dimensions of a row, each if it is stated; `nil` if not even their number is.
    let dims: [Int?]?

    var type: ElementType { ElementType(rawValue: Int(typeNumber)) ?? .undefined }
  }

  let inputs: [Input]
  /// The names of the outputs.
  let outputs: [String]
  /// The nodes that are not constant.
  var nodes: [Node] = []
  var constants: [String: Constant] = [:]
  /// The node that computes each tensor.
  var producers: [String: Node] = [:]
  /// The tensors of labels instead of numbers.
  private(set) var labels: Set<String> = []
  /// The bytes of the tensors' values.
  let bytes: TensorBytes
  /// The number of values that may be created from the file's: a small file must not require a large amount
  /// of memory.
  var allowance: Int

  /// Reads the graph of a file.
  ///
  /// - Parameter size: The number of bytes of the file.
  init(_ file: Onnx_ModelProto, _ bytes: TensorBytes, size: Int) throws {
    let graph = file.graph
    guard file.hasGraph, !graph.node.isEmpty else { throw Unreadable("there is no graph in this file") }
    let opset = file.opsetImport.filter { ["", "ai.onnx"].contains($0.domain) }.map(\.version).max()
    guard opset ?? 7 >= 6 else {
      throw Unreadable("the operators are those of opset \(opset!); expected 6 or later")
    }
    self.bytes = bytes
    let room = (size + 65_536).addingReportingOverflow(bytes.size(of: graph.initializer))
    allowance = room.overflow ? .max : room.partialValue
    outputs = graph.output.map(\.name)
    for tensor in graph.initializer {
      let constant = try Constant(tensor.name, tensor, bytes)
      guard constants.updateValue(constant, forKey: tensor.name) == nil else {
        throw Unreadable("tensor \(quoted(tensor.name)) occurs twice")
      }
    }
    // Before version 4 of the format, initializers are also inputs.
    let initializers = constants
    inputs = try graph.input.filter { initializers[$0.name] == nil }.map(Self.input)
    try readNodes(graph.node, opset ?? exportedOpset)
  }

  private static func input(_ value: Onnx_ValueInfoProto) throws -> Input {
    let type = value.type.tensorType
    func size(_ dim: Onnx_TensorShapeProto.Dimension) throws -> Int? {
      guard case .dimValue(let size) = dim.value, size != 0 else { return nil }
      guard size >= 1, size <= Int32.max else {
        throw Unreadable("input \(quoted(value.name)): a dimension is \(size); expected 1 to \(Int32.max)")
      }
      return Int(size)
    }
    let dims = type.hasShape ? try type.shape.dim.map(size) : nil
    return Input(
      name: value.name, typeNumber: type.elemType, batch: dims?.first ?? nil,
      dims: dims.map { Array($0.dropFirst()) })
  }

  /// Reads the nodes, and throws if a node uses a tensor that does not exist yet.
  private mutating func readNodes(_ protos: [Onnx_NodeProto], _ opset: Int64) throws {
    let inputNames = Set(inputs.map(\.name))
    let labelling = [
      "ArgMax", "TopK", "ai.onnx.ml.ArrayFeatureExtractor", "ai.onnx.ml.Binarizer",
      "ai.onnx.ml.LabelEncoder",
    ]
    for (index, proto) in protos.enumerated() {
      let node = Node(proto: proto, index: index, opset: opset)
      for name in proto.input where !name.isEmpty {
        guard inputNames.contains(name) || constants[name] != nil || producers[name] != nil else {
          throw Unreadable(node, "\(quoted(name)) does not exist before it is used")
        }
      }
      for name in proto.output where !name.isEmpty {
        guard !inputNames.contains(name), constants[name] == nil, producers[name] == nil else {
          throw Unreadable(node, "\(quoted(name)) is computed twice")
        }
      }
      if node.type == "Constant" {
        constants[node.output] = try constant(madeBy: node)
        continue
      }
      nodes.append(node)
      // Extracted from a constant, it is a label; extracted from rows, it is a feature.
      let isFeature = node.type == "ai.onnx.ml.ArrayFeatureExtractor" && constants[node.input(0) ?? ""] == nil
      let makesLabels =
        labelling.contains(node.type) && !isFeature || proto.input.contains { labels.contains($0) }
      for (position, name) in proto.output.enumerated() where !name.isEmpty {
        producers[name] = node
        if makesLabels || (node.isClassifier && position == 0) { labels.insert(name) }
      }
    }
  }

  private func constant(madeBy node: Node) throws -> Constant {
    let attributes = try Attributes(
      of: node, "value", "value_float", "value_floats", "value_int", "value_ints", "value_string",
      "value_strings")
    if let value = attributes.tensor("value") { return try Constant(node.output, value, bytes) }
    var tensor = Onnx_TensorProto()
    if let value = try attributes.float("value_float") {
      tensor.dataType = 1
      tensor.floatData = [value]
    } else if let value = try attributes.integer("value_int") {
      tensor.dataType = 7
      tensor.int64Data = [value]
    } else if let values = attributes.integers("value_ints"), !values.isEmpty {
      tensor.dataType = 7
      tensor.int64Data = values
      tensor.dims = [Int64(values.count)]
    } else {
      tensor.dataType = 1
      tensor.floatData = attributes.floats("value_floats")
      tensor.dims = [Int64(tensor.floatData.count)]
    }
    return try Constant(node.output, tensor, bytes)
  }

  /// Returns the input with that name.
  func input(named name: String) -> Input? { inputs.first { $0.name == name } }

  /// Returns the value of a tensor with a single number; `nil` for any other.
  func number(_ name: String?) -> Double? {
    guard let constant = name.flatMap({ constants[$0] }), constant.count == 1, constant.dims.count <= 2 else {
      return nil
    }
    return try? constant.numbers()[0]
  }

  /// Returns the tensor before nodes that pass it on unchanged and are not layers of Chainrule.
  func passed(_ name: String) -> String {
    var name = name
    while let node = producers[name], node.isTransparent, node.output == name, let source = node.input(0) {
      name = source
    }
    return name
  }
}

extension Node {
  /// Whether its first output is labels, and its second the scores.
  var isClassifier: Bool { type == "ai.onnx.ml.LinearClassifier" }

  /// Whether it passes real numbers on unchanged, and is not a layer of Chainrule.
  var isTransparent: Bool {
    switch type {
    case "Identity": layer == nil
    case "Cast":
      proto.attribute.contains {
        $0.name == "to" && ElementType(rawValue: Int(clamping: $0.i))?.isReal == true
      }
    default: false
    }
  }
}
