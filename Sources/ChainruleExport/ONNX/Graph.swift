internal import ChainrulePlatform
internal import SwiftProtobuf

/// Why a file cannot be read: what is wrong, where, and what was expected.
///
/// Messages count nodes, inputs and values from 1.
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
  /// The version of ONNX's own operators.
  let opset: Int64

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
  /// What operators had before opset 7. They said how their second input is stretched: as NumPy does it, along the last axis.
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

// MARK: - The graph

/// What a file computes: constants, and nodes in an order in which each uses what is there.
struct Graph {
  /// What a file asks for.
  struct Input {
    let name: String
    let typeNumber: Int32
    /// The number of rows, where it is stated.
    let batch: Int?
    /// The sizes of a row, each where it is stated; nil where not even their number is.
    let dims: [Int?]?

    var type: ElementType { ElementType(rawValue: Int(typeNumber)) ?? .undefined }
  }

  let inputs: [Input]
  /// The names of the outputs.
  let outputs: [String]
  /// The nodes that are not constant.
  var nodes: [Node] = []
  var constants: [String: Constant] = [:]
  /// The node that makes a tensor.
  var producers: [String: Node] = [:]
  /// Tensors made of labels, not of numbers.
  private(set) var labels: Set<String> = []
  /// Where the values of tensors are.
  let bytes: TensorBytes
  /// How many values may be made of the file's: a small file must not ask for much memory.
  var allowance: Int

  /// Reads the parts of a file that hold a graph.
  ///
  /// - Parameter size: The bytes of the file.
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
        throw Unreadable("tensor \(quoted(tensor.name)) is there twice")
      }
    }
    // Before version 4 of the format, initializers are inputs too.
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

  /// Takes the nodes, and refuses what is used before it is made.
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
          throw Unreadable(node, "\(quoted(name)) is not there before it is used")
        }
      }
      for name in proto.output where !name.isEmpty {
        guard !inputNames.contains(name), constants[name] == nil, producers[name] == nil else {
          throw Unreadable(node, "\(quoted(name)) is made twice")
        }
      }
      if node.type == "Constant" {
        constants[node.output] = try constant(madeBy: node)
        continue
      }
      nodes.append(node)
      // A label is taken out of a constant; out of rows it is a feature.
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

  /// The input of that name.
  func input(named name: String) -> Input? { inputs.first { $0.name == name } }

  /// The number that a tensor is; nil where it is none.
  func number(_ name: String?) -> Double? {
    guard let constant = name.flatMap({ constants[$0] }), constant.count == 1, constant.dims.count <= 2 else {
      return nil
    }
    return try? constant.numbers()[0]
  }

  /// The tensor behind nodes that hand it on as it is, and are no layers of Chainrule's.
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

  /// Whether it hands real numbers on as they are, and is no layer of Chainrule's.
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
