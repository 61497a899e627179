import Chainrule
import Foundation
internal import SwiftProtobuf

/// The version of the standard operators that an exported graph asks for: the first with LayerNormalization.
let exportedOpset: Int64 = 17
/// The version of the file format that belongs to it.
private let formatVersion: Int64 = 8

/// Under these keys of a file's metadata the names are JSON arrays of strings.
enum NamesKey {
  static let features = "chainrule.features"
  static let targets = "chainrule.targets"
  static let classes = "chainrule.classes"
}

extension Model {
  /// The model as an ONNX file: the network as it predicts, with the names of features, targets and classes.
  ///
  /// The graph takes `input`, [batch, inputs], and gives `output`, [batch, outputs], both of the model's scalar type. The
  /// same model gives the same bytes.
  ///
  /// - Throws: `ChainruleError.invalidNetwork` for a layer with a function of the program's own, `.notFinite` for a
  ///   parameter that is NaN or infinite, `.invalidArgument` for a model above the 2 GiB of an ONNX file.
  public func exportONNX() throws(ChainruleError) -> Data {
    let size = parameterCount.multipliedReportingOverflow(by: MemoryLayout<Scalar>.size)
    let tooLarge = ChainruleError.invalidArgument(
      message:
        "\(parameterCount) parameters of \(Scalar.scalarType) do not fit into the 2 GiB of an ONNX file")
    guard !size.overflow, size.partialValue <= Int32.max else { throw tooLarge }

    var file = Onnx_ModelProto()
    file.irVersion = formatVersion
    file.producerName = "chainrule"
    file.producerVersion = chainruleVersion
    file.graph = try GraphWriter<Scalar>.graph(of: self)
    var operators = Onnx_OperatorSetIdProto()
    operators.domain = ""
    operators.version = exportedOpset
    file.opsetImport = [operators]
    for (key, names) in [
      (NamesKey.features, featureNames), (NamesKey.targets, targetNames), (NamesKey.classes, classLabels),
    ] {
      guard let names, let json = try? JSONEncoder().encode(names) else { continue }
      var entry = Onnx_StringStringEntryProto()
      entry.key = key
      entry.value = String(decoding: json, as: UTF8.self)
      file.metadataProps.append(entry)
    }
    do { return try file.serializedBytes() } catch { throw tooLarge }
  }
}

/// Writes a graph node by node. A node of layer l, counted from 0, is called `layers.l/Operator`, and so is its output; a
/// parameter is called as in a model file, `layers.l.weights`.
private struct GraphWriter<Scalar: NetworkScalar> {
  private var graph = Onnx_GraphProto()
  private var layer = 0
  /// How many nodes there are of a name.
  private var nodes: [String: Int] = [:]
  private var numbers: Set<Double> = []

  static func graph(of model: Model<Scalar>) throws(ChainruleError) -> Onnx_GraphProto {
    var writer = GraphWriter()
    writer.graph.name = "chainrule"
    // xs[l] is what layer l is given.
    var xs = ["input"]
    for (index, layer) in model.layers.enumerated() {
      writer.layer = index
      xs.append(try writer.write(layer, parameters: try model.parameters(ofLayer: index), xs: xs))
    }
    if writer.graph.node.isEmpty { _ = writer.node("Identity", ["input"]) }  // Dropout alone
    let last = writer.graph.node.count - 1
    writer.graph.node[last].output = ["output"]
    writer.graph.input = [Self.value("input", columns: model.inputs)]
    writer.graph.output = [Self.value("output", columns: model.outputs)]
    return writer.graph
  }

  /// Writes a layer and returns the name of its output; x is the last of `xs`.
  private mutating func write(
    _ layer: Layer, parameters: LayerParameters<Scalar>, xs: [String]
  ) throws(ChainruleError) -> String {
    let x = xs[xs.count - 1]
    switch layer {
    case .dense(let dense):
      var inputs = [x, try tensor("weights", parameters.weights, [parameters.units, parameters.inputs])]
      if let bias = parameters.bias { inputs.append(try tensor("bias", bias)) }
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
          x, try tensor("gamma", parameters.gamma), try tensor("beta", parameters.beta),
          try tensor("mean", parameters.mean), try tensor("variance", parameters.variance),
        ],
        // ONNX's momentum is the share that stays.
        [
          Self.float("epsilon", Float(norm.epsilon)),
          Self.float("momentum", Float(1 - norm.momentum)),
        ])
    case .layerNorm(let norm):
      return node(
        "LayerNormalization",
        [x, try tensor("gamma", parameters.gamma), try tensor("beta", parameters.beta)],
        [Self.integer("axis", -1), Self.float("epsilon", Float(norm.epsilon))])
    case .scaling:
      let centred = node("Sub", [x, try tensor("mean", parameters.mean)])
      return node("Div", [centred, try tensor("deviation", parameters.deviation)])
    case .residual(let span):
      return node("Add", [x, xs[xs.count - 1 - span]])
    case .custom(let custom):
      throw .invalidNetwork(
        layer: self.layer + 1,
        reason:
          "layer \(self.layer + 1), \(custom.name): a function of the program's own cannot be written to ONNX"
      )
    }
  }

  private mutating func activation(_ activation: Activation, of z: String) -> String {
    switch activation.form(for: Scalar.scalarType) {
    case .operator(let form):
      let axis = activation == .softmax ? [Self.integer("axis", -1)] : []
      return node(form.name, [z], form.attributes.map { Self.float($0.name, $0.value) } + axis)
    case .formula(let formula):
      var names: [Formula: String] = [.z: z]
      return write(formula, &names)
    }
  }

  /// Writes the nodes of a formula, one for those that are equal; `names` has what is there.
  private mutating func write(_ formula: Formula, _ names: inout [Formula: String]) -> String {
    if let name = names[formula] { return name }
    switch formula {
    case .z, .parameter: return ""  // It is among the names.
    case .number(let value):
      names[formula] = number(value)
    case .apply("Erf", let arguments) where Scalar.self == Double.self:
      // Runtimes have erf of float32 alone.
      let argument = node("Cast", [write(arguments[0], &names)], [Self.integer("to", 1)])
      names[formula] = node("Cast", [node("Erf", [argument])], [Self.integer("to", 11)])
    case .apply(let name, let arguments):
      var inputs: [String] = []
      for argument in arguments { inputs.append(write(argument, &names)) }
      names[formula] = node(name, inputs)
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

  /// A parameter of the layer, as a vector where no shape is given; returns its name.
  private mutating func tensor(
    _ parameter: String, _ values: [Scalar]?, _ shape: [Int]? = nil
  ) throws(ChainruleError) -> String {
    let values = values ?? []
    let name = "layers.\(layer).\(parameter)"
    if let index = values.firstIndex(where: { !$0.isFinite }) {
      throw .notFinite(
        quantity: parameter, layer: layer + 1, step: nil,
        message: "layer \(layer + 1), \(parameter): value \(index + 1) is \(values[index])")
    }
    graph.initializer.append(Self.tensor(name, values, shape ?? [values.count]))
    return name
  }

  /// A number of a formula, written once for the whole graph; returns its name.
  private mutating func number(_ value: Double) -> String {
    let name = "number.\(value)"
    if numbers.insert(value).inserted { graph.initializer.append(Self.tensor(name, [Scalar(value)], [])) }
    return name
  }

  private static var elementType: Onnx_TensorProto.DataType {
    Scalar.scalarType == .float32 ? .float : .double
  }

  private static func tensor(_ name: String, _ values: [Scalar], _ shape: [Int]) -> Onnx_TensorProto {
    var tensor = Onnx_TensorProto()
    tensor.name = name
    tensor.dims = shape.map { Int64($0) }
    tensor.dataType = Int32(elementType.rawValue)
    tensor.rawData =
      switch values {  // little-endian, as the format has it
      case let values as [Float]: values.map(\.bitPattern.littleEndian).withUnsafeBytes { Data($0) }
      default: values.map { Double($0).bitPattern.littleEndian }.withUnsafeBytes { Data($0) }
      }
    return tensor
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

  /// The description of an input or output, [batch, columns].
  private static func value(_ name: String, columns: Int) -> Onnx_ValueInfoProto {
    var batch = Onnx_TensorShapeProto.Dimension()
    batch.dimParam = "batch"
    var features = Onnx_TensorShapeProto.Dimension()
    features.dimValue = Int64(columns)
    var value = Onnx_ValueInfoProto()
    value.name = name
    value.type.tensorType.elemType = Int32(elementType.rawValue)
    value.type.tensorType.shape.dim = [batch, features]
    return value
  }
}
