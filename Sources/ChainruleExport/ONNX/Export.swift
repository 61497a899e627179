import Chainrule
public import ChainrulePlatform
internal import SwiftProtobuf

/// The version of the standard operators in an exported graph: the first with LayerNormalization.
let exportedOpset: Int64 = 17
/// The matching version of the file format.
private let formatVersion: Int64 = 8

/// The metadata keys of the names, which are JSON arrays of strings.
enum NamesKey {
  static let features = "chainrule.features"
  static let targets = "chainrule.targets"
  static let classes = "chainrule.classes"
}

extension Model {
  /// Returns the model as an ONNX file: the network in prediction mode, with the names of features, targets
  /// and classes.
  ///
  /// The graph's input is `input`, [batch, inputs], and its output is `output`, [batch, outputs], both of the
  /// model's scalar type. The same model gives the same bytes.
  ///
  /// - Throws: `ChainruleError.invalidNetwork` for a layer whose activation is a Swift function, `.notFinite`
  ///   for a parameter that is NaN or infinite, `.invalidArgument` for a model above the limit of 2 GiB for
  ///   an ONNX file.
  public func exportONNX() throws(ChainruleError) -> Data {
    var bytes = Data()
    try exportONNX { piece in bytes += piece }
    return bytes
  }

  /// Writes the bytes of ``exportONNX()`` to a file, which replaces any file at `path`, with only one layer's
  /// parameters in memory at a time.
  ///
  /// - Throws: The errors of ``exportONNX()``, and `ChainruleError.file` if the system refuses; an earlier
  ///   file does not change then.
  public func exportONNX(to path: String) throws(ChainruleError) {
    let file = try FileReplacement(at: path)
    try exportONNX { piece throws(ChainruleError) in try file.write(piece) }
    try file.commit()
  }

  /// Passes the bytes of ``exportONNX()`` to `write`, piece by piece; an error of the model is thrown before
  /// the first piece.
  package func exportONNX(
    into write: ([UInt8]) throws(ChainruleError) -> Void
  ) throws(ChainruleError) {
    let graph = try GraphWriter<Scalar>.graph(of: self)
    var start = Onnx_ModelProto()
    start.irVersion = formatVersion
    start.producerName = "chainrule"
    start.producerVersion = chainruleVersion
    var operators = Onnx_OperatorSetIdProto()
    operators.domain = ""
    operators.version = exportedOpset
    var end = Onnx_ModelProto()
    end.opsetImport = [operators]
    for (key, names) in [
      (NamesKey.features, featureNames), (NamesKey.targets, targetNames), (NamesKey.classes, classLabels),
    ] {
      guard let names, let json = try? JSONEncoder().encode(names) else { continue }
      var entry = Onnx_StringStringEntryProto()
      entry.key = key
      entry.value = String(decoding: json, as: UTF8.self)
      end.metadataProps.append(entry)
    }
    let (first, last) = (try encoded(start), try encoded(end))
    guard graph.byteCount <= Int(Int32.max) - first.count - last.count - 16 else {
      throw .invalidArgument(
        message:
          "\(parameterCount) parameters of \(Scalar.scalarType) do not fit into the 2 GiB of an ONNX file")
    }
    try write(first + fieldStart(7, byteCount: graph.byteCount))
    try graph.write(parametersOf: self, to: write)
    try write(last)
  }
}

/// Returns the bytes of a small message.
private func encoded(_ message: some SwiftProtobuf.Message) throws(ChainruleError) -> [UInt8] {
  do {
    return try message.serializedBytes()
  } catch {
    throw .invalidArgument(message: "a part of the ONNX file cannot be written: \(error)")
  }
}

/// Returns the bytes before a field in a protobuf message: its number with type 2, and the number of bytes,
/// both in base 128 with the lowest digits first.
private func fieldStart(_ field: Int, byteCount: Int) -> [UInt8] {
  var bytes = [UInt8(field << 3 | 2)]
  var rest = byteCount
  while rest >= 128 {
    bytes.append(UInt8(rest & 127 | 128))
    rest >>= 7
  }
  return bytes + [UInt8(rest)]
}

extension ScalarType {
  /// The number of the type in ONNX.
  fileprivate var elementType: Int32 {
    let type: Onnx_TensorProto.DataType = self == .float32 ? .float : .double
    return Int32(type.rawValue)
  }
}

/// A tensor of a graph. Its numbers are read only when it is written.
private struct Tensor<Scalar: NetworkScalar> {
  let name: String
  let shape: [Int]
  /// The layer whose parameters contain the numbers.
  let layer: Int
  let values: (LayerParameters<Scalar>) -> [Scalar]

  private var valueBytes: Int { shape.reduce(1, *) * MemoryLayout<Scalar>.size }

  /// Returns the bytes of its `TensorProto` before the numbers, which are the last field.
  func start() throws(ChainruleError) -> [UInt8] {
    var tensor = Onnx_TensorProto()
    tensor.name = name
    tensor.dims = shape.map { Int64($0) }
    tensor.dataType = Scalar.scalarType.elementType
    return try encoded(tensor) + fieldStart(9, byteCount: valueBytes)
  }

  func byteCount() throws(ChainruleError) -> Int { try start().count + valueBytes }
}

private func littleEndian<Scalar: NetworkScalar>(_ values: ArraySlice<Scalar>) -> [UInt8] {
  switch values {
  case let values as ArraySlice<Float>: values.map(\.bitPattern.littleEndian).withUnsafeBytes { Array($0) }
  default: values.map { Double($0).bitPattern.littleEndian }.withUnsafeBytes { Array($0) }
  }
}

/// An encoded graph: the nodes, the tensors, the inputs and outputs.
private struct EncodedGraph<Scalar: NetworkScalar> {
  let start: [UInt8]
  /// The tensors in the order of their layers.
  let tensors: [Tensor<Scalar>]
  let end: [UInt8]
  let byteCount: Int

  init(
    start: [UInt8], tensors: [Tensor<Scalar>], end: [UInt8]
  ) throws(ChainruleError) {
    (self.start, self.tensors, self.end) = (start, tensors, end)
    var count = start.count + end.count
    for tensor in tensors {
      let bytes = try tensor.byteCount()
      count += fieldStart(5, byteCount: bytes).count + bytes
    }
    byteCount = count
  }

  func write(
    parametersOf model: Model<Scalar>, to write: ([UInt8]) throws(ChainruleError) -> Void
  ) throws(ChainruleError) {
    try write(start)
    var parameters: (layer: Int, values: LayerParameters<Scalar>)?
    for tensor in tensors {
      if parameters?.layer != tensor.layer {
        parameters = nil  // Frees memory before the next layer's are read.
        parameters = (tensor.layer, try model.parameters(ofLayer: tensor.layer))
      }
      try write(fieldStart(5, byteCount: try tensor.byteCount()) + tensor.start())
      let values = tensor.values(parameters!.values)
      for block in blocks(of: 8192, in: values.count) { try write(littleEndian(values[block])) }
    }
    try write(end)
  }
}

/// Writes a graph node by node. A node of layer l, counted from 0, and its output are named
/// `layers.l/Operator`; a parameter has its name in a model file, `layers.l.weights`.
private struct GraphWriter<Scalar: NetworkScalar> {
  private var graph = Onnx_GraphProto()
  private var tensors: [Tensor<Scalar>] = []
  private var layer = 0
  /// The number of nodes with each name.
  private var nodes: [String: Int] = [:]
  private var numbers: Set<Double> = []

  static func graph(of model: Model<Scalar>) throws(ChainruleError) -> EncodedGraph<Scalar> {
    var writer = GraphWriter()
    writer.graph.name = "chainrule"
    // xs[l] is the input of layer l.
    var xs = ["input"]
    for (index, layer) in model.layers.enumerated() {
      writer.layer = index
      xs.append(try writer.write(layer, parameters: try model.parameters(ofLayer: index), xs: xs))
    }
    if writer.graph.node.isEmpty { _ = writer.node("Identity", ["input"]) }  // A network with only dropout
    let last = writer.graph.node.count - 1
    writer.graph.node[last].output = ["output"]
    // Fields are written by ascending number: nodes 1, name 2, tensors 5, input 11, output 12.
    var end = Onnx_GraphProto()
    end.input = [Self.value("input", columns: model.inputs)]
    end.output = [Self.value("output", columns: model.outputs)]
    return try EncodedGraph(start: encoded(writer.graph), tensors: writer.tensors, end: encoded(end))
  }

  /// Writes a layer and returns the name of its output; its input x is the last of `xs`.
  private mutating func write(
    _ layer: Layer, parameters: LayerParameters<Scalar>, xs: [String]
  ) throws(ChainruleError) -> String {
    let x = xs[xs.count - 1]
    switch layer {
    case .dense(let dense):
      var inputs = [
        x, try tensor("weights", of: parameters, [parameters.units, parameters.inputs]) { $0.weights },
      ]
      if dense.bias { inputs.append(try tensor("bias", of: parameters) { $0.bias! }) }
      let z = node("Gemm", inputs, [Self.integer("transB", 1)])
      return dense.activation == .identity ? z : activation(dense.activation, of: z)
    case .activation(let activation):
      return self.activation(activation, of: x)
    case .dropout:
      return x
    case .batchNorm(let norm):
      return node(
        "BatchNormalization",
        [
          x, try tensor("gamma", of: parameters) { $0.gamma! },
          try tensor("beta", of: parameters) { $0.beta! },
          try tensor("mean", of: parameters) { $0.mean! },
          try tensor("variance", of: parameters) { $0.variance! },
        ],
        // ONNX's momentum is the fraction that is kept.
        [
          Self.float("epsilon", Float(norm.epsilon)),
          Self.float("momentum", Float(1 - norm.momentum)),
        ])
    case .layerNorm(let norm):
      return node(
        "LayerNormalization",
        [
          x, try tensor("gamma", of: parameters) { $0.gamma! },
          try tensor("beta", of: parameters) { $0.beta! },
        ],
        [Self.integer("axis", -1), Self.float("epsilon", Float(norm.epsilon))])
    case .scaling:
      let centred = node("Sub", [x, try tensor("mean", of: parameters) { $0.mean! }])
      return node("Div", [centred, try tensor("deviation", of: parameters) { $0.deviation! }])
    case .residual(let span):
      return node("Add", [x, xs[xs.count - 1 - span]])
    case .custom(let custom):
      throw .invalidNetwork(
        layer: self.layer + 1,
        reason:
          "layer \(self.layer + 1), \(custom.name): an activation that is a Swift function cannot be written to ONNX"
      )
    }
  }

  private mutating func activation(_ activation: Activation, of z: String) -> String {
    switch activation.form(for: Scalar.scalarType) {
    case .operator(let form):
      let axis = activation == .softmax ? [Self.integer("axis", -1)] : []
      return node(form.name, [z], form.attributes.map { Self.float($0.name, $0.value) } + axis)
    case .formula(let formula):
      var names: [Formula: String] = ["z": z]
      return write(formula, &names)
    }
  }

  /// Writes the nodes of a formula, one for equal subformulas; `names` has those written so far.
  private mutating func write(_ formula: Formula, _ names: inout [Formula: String]) -> String {
    if let name = names[formula] { return name }
    if let value = formula.value { return number(value) }
    if case .function(let function, let arguments) = formula, Scalar.self == Double.self,
      Formula.Function.operatorsOfFloat32.contains(function)
    {
      let argument = node("Cast", [write(arguments[0], &names)], [Self.integer("to", 1)])
      names[formula] = node("Cast", [node(function.operator, [argument])], [Self.integer("to", 11)])
    } else {
      // An activation's form has no cases, and its only symbol is z, which is in `names`.
      let (type, operands) = formula.nodes(for: Scalar.scalarType)[0]
      var inputs: [String] = []
      for operand in operands { inputs.append(write(operand, &names)) }
      names[formula] = node(type, inputs)
    }
    return names[formula]!
  }

  // MARK: Parts of a graph

  private mutating func node(
    _ type: String, _ inputs: [String], _ attributes: [Onnx_AttributeProto] = []
  ) -> String {
    let name = "layers.\(layer)/\(type)"
    nodes[name, default: 0] += 1
    var node = Onnx_NodeProto()
    node.name = nodes[name] == 1 ? name : "\(name)_\(nodes[name]!)"
    node.opType = type
    node.input = inputs
    node.output = [node.name]
    node.attribute = attributes
    graph.node.append(node)
    return node.name
  }

  /// Adds a parameter of the layer, a vector unless a shape is given; returns its name.
  private mutating func tensor(
    _ parameter: String, of parameters: LayerParameters<Scalar>, _ shape: [Int]? = nil,
    values: @escaping (LayerParameters<Scalar>) -> [Scalar]
  ) throws(ChainruleError) -> String {
    let numbers = values(parameters)
    let name = "layers.\(layer).\(parameter)"
    if let index = numbers.firstIndex(where: { !$0.isFinite }) {
      throw .notFinite(
        quantity: parameter, layer: layer + 1, step: nil,
        message: "layer \(layer + 1), \(parameter): value \(index + 1) is \(numbers[index])")
    }
    tensors.append(Tensor(name: name, shape: shape ?? [numbers.count], layer: layer, values: values))
    return name
  }

  /// Adds a number of a formula, once for the whole graph; returns its name.
  private mutating func number(_ value: Double) -> String {
    let name = "number.\(value)"
    if numbers.insert(value).inserted {
      tensors.append(Tensor(name: name, shape: [], layer: layer) { _ in [Scalar(value)] })
    }
    return name
  }

  private static func float(_ name: String, _ value: Float) -> Onnx_AttributeProto {
    var attribute = Onnx_AttributeProto()
    attribute.name = name
    attribute.type = .float
    attribute.f = value
    return attribute
  }

  private static func integer(_ name: String, _ value: Int64) -> Onnx_AttributeProto {
    var attribute = Onnx_AttributeProto()
    attribute.name = name
    attribute.type = .int
    attribute.i = value
    return attribute
  }

  /// Returns the description of an input or output, [batch, columns].
  private static func value(_ name: String, columns: Int) -> Onnx_ValueInfoProto {
    var batch = Onnx_TensorShapeProto.Dimension()
    batch.dimParam = "batch"
    var features = Onnx_TensorShapeProto.Dimension()
    features.dimValue = Int64(columns)
    var value = Onnx_ValueInfoProto()
    value.name = name
    value.type.tensorType.elemType = Scalar.scalarType.elementType
    value.type.tensorType.shape.dim = [batch, features]
    return value
  }
}
