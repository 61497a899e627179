import Chainrule
import Foundation
internal import SwiftProtobuf

extension SavedModel {
  /// Reads a dense network from an ONNX file, which another program may have written.
  ///
  /// The model is in float64 where the file's parameters are, otherwise in float32. Of several outputs the one is taken that
  /// is not made of labels. A network that ends in LogSoftmax ends in softmax here. Names of the classes come with it.
  ///
  /// - Throws: `ChainruleError.invalidModel` for what is no dense network that Chainrule has; its reason names the node.
  public init(onnxBytes bytes: Data) throws(ChainruleError) {
    self = try Self.read(bytes, path: "ONNX")
  }

  /// Reads an ONNX file; see ``init(onnxBytes:)``.
  ///
  /// - Throws: As ``init(onnxBytes:)``; `ChainruleError.file` where the system refuses.
  public init(onnx path: String) throws(ChainruleError) {
    self = try Self.read(Data(contents(ofFile: path)), path: path)
  }

  private static func read(_ bytes: Data, path: String) throws(ChainruleError) -> SavedModel {
    do {
      return try GraphReader.model(of: bytes)
    } catch let error as Unreadable {
      throw .invalidModel(path: path, reason: error.reason)
    } catch ChainruleError.outOfMemory(let message) {
      throw .outOfMemory(message: message)
    } catch {
      // What Chainrule has against the network, in its words.
      throw .invalidModel(path: path, reason: "\(error)")
    }
  }
}

/// Reads a graph that is one chain of layers with sums around blocks of them.
///
/// From the output back to the input, nodes become steps, each of which knows what it is given; then the steps, from the
/// input on, become layers, and sizes are compared.
private struct GraphReader {
  private let graph: Onnx_GraphProto
  private var constants: [String: Constant] = [:]
  /// The node that makes a tensor.
  private var producers: [String: Node] = [:]
  /// Tensors made of labels, not of numbers.
  private var labels: Set<String> = []
  private let input: String
  private let allowance: Int

  static func model(of bytes: Data) throws -> SavedModel {
    let file: Onnx_ModelProto
    do {
      file = try Onnx_ModelProto(serializedBytes: bytes)
    } catch {
      throw Unreadable("this is no ONNX model, or not all of one")
    }
    guard file.hasGraph, !file.graph.node.isEmpty else { throw Unreadable("there is no graph in this file") }
    for operators in file.opsetImport where ["", "ai.onnx"].contains(operators.domain) {
      guard operators.version >= 7 else {
        throw Unreadable("the operators are those of opset \(operators.version); expected 7 or later")
      }
    }
    let reader = try GraphReader(file.graph, size: bytes.count)
    return try reader.model(metadata: file.metadataProps)
  }

  // MARK: The graph

  private init(_ graph: Onnx_GraphProto, size: Int) throws {
    self.graph = graph
    allowance = size + 65_536
    for tensor in graph.initializer {
      let constant = try Constant(tensor.name, tensor)
      guard constants.updateValue(constant, forKey: tensor.name) == nil else {
        throw Unreadable("tensor \(quoted(tensor.name)) is there twice")
      }
    }
    // Before version 4 of the format, initializers are inputs too.
    let initializers = constants
    let inputs = graph.input.map(\.name).filter { initializers[$0] == nil }
    guard inputs.count == 1 else {
      throw Unreadable("the graph has \(inputs.count) inputs\(Self.list(inputs)); expected one")
    }
    input = inputs[0]
    try readNodes()
  }

  private static func list(_ names: [String]) -> String {
    names.isEmpty ? "" : ", " + names.prefix(4).map(quoted).joined(separator: ", ")
  }

  /// Finds constants, producers and labels; refuses what is used before it is made.
  private mutating func readNodes() throws {
    for (index, proto) in graph.node.enumerated() {
      let node = Node(proto: proto, index: index)
      for name in proto.input where !name.isEmpty {
        guard name == input || constants[name] != nil || producers[name] != nil else {
          throw Unreadable(node, "\(quoted(name)) is not there before it is used")
        }
      }
      for name in proto.output where !name.isEmpty {
        guard name != input, constants[name] == nil, producers[name] == nil else {
          throw Unreadable(node, "\(quoted(name)) is made twice")
        }
      }
      if let constant = try constant(madeBy: node) {
        constants[node.output] = constant
        continue
      }
      let labelling = [
        "ArgMax", "TopK", "ai.onnx.ml.ArrayFeatureExtractor", "ai.onnx.ml.Binarizer",
        "ai.onnx.ml.LabelEncoder",
      ]
      let makesLabels = labelling.contains(node.type) || proto.input.contains { labels.contains($0) }
      for name in proto.output where !name.isEmpty {
        producers[name] = node
        if makesLabels { labels.insert(name) }
      }
    }
  }

  private func constant(madeBy node: Node) throws -> Constant? {
    if node.type == "Constant" {
      let attributes = try Attributes(
        of: node, "value", "value_float", "value_floats", "value_int", "value_ints", "value_string",
        "value_strings")
      var tensor = Onnx_TensorProto()
      if let value = attributes.tensor("value") {
        tensor = value
      } else if let value = try attributes.float("value_float") {
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
      return try Constant(node.output, tensor)
    }
    guard let name = node.input(0), let source = constants[name] else { return nil }
    switch node.type {
    case "Identity", "Cast": return Self.isTransparent(node) ? source : nil
    case "Transpose":
      let axes = try Attributes(of: node, "perm").integers("perm") ?? [1, 0]
      return source.dims.count == 2 && axes == [1, 0] ? source.transposed() : nil
    case "Reshape":
      guard let shape = node.input(1).flatMap({ constants[$0] }), !source.isTransposed, shape.count < 10,
        let dims = try? shape.integers(), let sizes = Self.resolve(dims, of: source.dims)
      else { return nil }
      return source.reshaped(to: sizes)
    default: return nil
    }
  }

  /// The sizes of a Reshape of `dims` to `shape`; nil where there are none.
  private static func resolve(_ shape: [Int64], of dims: [Int]) -> [Int]? {
    var sizes: [Int] = []
    for (axis, size) in shape.enumerated() {
      guard size >= -1, size != 0 || axis < dims.count else { return nil }
      sizes.append(size == 0 ? dims[axis] : Int(size))
    }
    guard let count = product(dims), let known = product(sizes.filter { $0 != -1 }) else { return nil }
    guard let unknown = sizes.firstIndex(of: -1) else { return known == count ? sizes : nil }
    guard known > 0, count % known == 0, sizes.filter({ $0 == -1 }).count == 1 else { return nil }
    sizes[unknown] = count / known
    return sizes
  }

  private static func product(_ sizes: [Int]) -> Int? {
    var product = 1
    for size in sizes {
      let next = product.multipliedReportingOverflow(by: size)
      guard !next.overflow else { return nil }
      product = next.partialValue
    }
    return product
  }

  // MARK: From the output to the input

  private func model(metadata: [Onnx_StringStringEntryProto]) throws -> SavedModel {
    let outputs = graph.output.map(\.name)
    let numbers = outputs.count == 1 ? outputs : outputs.filter { !labels.contains($0) }
    guard numbers.count == 1 else {
      throw Unreadable("the graph has \(outputs.count) outputs\(Self.list(outputs)); expected one")
    }
    var steps: [Step] = []
    var classes: [String]?
    var tensor = numbers[0]
    while tensor != input {
      guard let node = producers[tensor] else {
        throw Unreadable(
          "output \(quoted(numbers[0])): \(quoted(tensor)) is \(constants[tensor] == nil ? "not there" : "constant")"
        )
      }
      guard tensor == node.output else {
        throw Unreadable(node, "\(quoted(tensor)) is its second output; expected its first")
      }
      if node.type == "ai.onnx.ml.ZipMap" { classes = try zipMapClasses(node) }
      let step = try step(of: node)
      steps.append(step)
      tensor = step.input
    }
    steps.reverse()
    let chain = try Chain(steps, input: input, dims: inputDims(), allowance: allowance)

    func names(_ key: String) throws -> [String]? {
      guard let entry = metadata.first(where: { $0.key == key }) else { return nil }
      guard let names = try? JSONDecoder().decode([String].self, from: Data(entry.value.utf8)) else {
        throw Unreadable("metadata \(quoted(key)): expected a JSON array of strings")
      }
      return names
    }
    let model = try chain.model(
      features: names(NamesKey.features), targets: names(NamesKey.targets),
      classes: names(NamesKey.classes) ?? classes ?? extractedClasses(count: chain.outputs))
    let isDouble = try chain.isDouble ?? (inputType() == .double)
    return isDouble ? .float64(model) : .float32(try Model<Float>(model))
  }

  /// The labels from which the graph takes that of a row.
  private func extractedClasses(count: Int) throws -> [String]? {
    for proto in graph.node where proto.opType == "ArrayFeatureExtractor" {
      guard let name = proto.input.first, let classes = constants[name], classes.count == count else {
        continue
      }
      return try classes.names()
    }
    return nil
  }

  private func zipMapClasses(_ node: Node) throws -> [String]? {
    let attributes = try Attributes(of: node, "classlabels_strings", "classlabels_int64s")
    let strings = attributes.strings("classlabels_strings")
    return strings.isEmpty ? attributes.integers("classlabels_int64s")?.map { "\($0)" } : strings
  }

  private func inputType() throws -> Onnx_TensorProto.DataType {
    let type = graph.input.first { $0.name == input }!.type.tensorType.elemType
    switch Onnx_TensorProto.DataType(rawValue: Int(type)) {
    case .double: return .double
    case .float, .undefined: return .float
    case let other:
      throw Unreadable(
        "input \(quoted(input)): it is of type \(Constant.name(other, type)); expected FLOAT or DOUBLE")
    }
  }

  /// The sizes of a row; nil where a size is not stated, or none is.
  private func inputDims() throws -> [Int?]? {
    let type = graph.input.first { $0.name == input }!.type.tensorType
    _ = try inputType()
    guard type.hasShape else { return nil }
    guard type.shape.dim.count >= 2 else {
      throw Unreadable(
        "input \(quoted(input)): it has no dimension of features; expected [batch, features]")
    }
    return try type.shape.dim.dropFirst().map { dim in
      guard case .dimValue(let size) = dim.value else { return nil }
      guard size >= 1, size <= Int32.max else {
        throw Unreadable("input \(quoted(input)): a dimension is \(size); expected 1 to \(Int32.max)")
      }
      return Int(size)
    }
  }

  /// The name of an input that is computed; refuses one that is constant.
  private func computed(_ node: Node, _ position: Int = 0) throws -> String {
    guard let name = node.input(position) else {
      throw Unreadable(node, "it has no input \(position + 1)")
    }
    guard constants[name] == nil else {
      throw Unreadable(node, "input \(position + 1), \(quoted(name)), is constant; expected the rows")
    }
    return name
  }

  private func constant(_ node: Node, _ position: Int) throws -> Constant {
    guard let name = node.input(position) else { throw Unreadable(node, "it has no input \(position + 1)") }
    guard let constant = constants[name] else {
      throw Unreadable(node, "input \(position + 1), \(quoted(name)), is computed; expected a constant")
    }
    return constant
  }

  /// The number that a tensor is; nil where it is none.
  private func number(_ name: String?) -> Double? {
    guard let constant = name.flatMap({ constants[$0] }), constant.count == 1, constant.dims.count <= 2 else {
      return nil
    }
    return try? constant.numbers()[0]
  }

  /// What the last nodes before `node`'s output do.
  private func step(of node: Node) throws -> Step {
    func step(_ action: Step.Action, of name: String? = nil) throws -> Step {
      Step(action: action, node: node, input: try name ?? computed(node), output: node.output)
    }
    func activation(_ activation: Activation) throws -> Step {
      _ = try Attributes(of: node)
      return try step(.activation(activation))
    }
    for (formula, activation) in Activation.formulas {
      var argument: String?
      if matches(node.output, formula, &argument), let argument {
        return try step(.activation(activation), of: argument)
      }
    }
    switch node.type {
    case "Gemm": return try step(gemm(node))
    case "MatMul":
      _ = try Attributes(of: node)
      let weights = try constant(node, 1)
      return try step(.dense(weights: weights, isTransposed: false, bias: nil, alpha: 1, beta: 0))
    case "Add", "Sub", "Mul", "Div": return try arithmetic(node)

    case "Relu": return try activation(.relu)
    case "Sigmoid": return try activation(.sigmoid)
    case "Tanh": return try activation(.tanh)
    case "Softplus": return try activation(.softplus)
    case "Softsign": return try activation(.softsign)
    case "Mish": return try activation(.mish)
    case "LeakyRelu":
      try Attributes(of: node, "alpha").expect("alpha", 0.01, default: 0.01)
      return try step(.activation(.leakyReLU))
    case "Elu":
      try Attributes(of: node, "alpha").expect("alpha", 1, default: 1)
      return try step(.activation(.elu))
    case "Selu":
      let attributes = try Attributes(of: node, "alpha", "gamma")
      try attributes.expect("alpha", 1.6732632, default: 1.6732632)
      try attributes.expect("gamma", 1.0507010, default: 1.0507010)
      return try step(.activation(.selu))
    case "HardSigmoid":
      let attributes = try Attributes(of: node, "alpha", "beta")
      try attributes.expect("alpha", 1 / 6, default: 0.2)
      try attributes.expect("beta", 0.5, default: 0.5)
      return try step(.activation(.hardSigmoid))
    case "Swish":
      try Attributes(of: node, "alpha").expect("alpha", 1, default: 1)
      return try step(.activation(.silu))
    case "Gelu":
      let approximate = try Attributes(of: node, "approximate").string("approximate") ?? "none"
      guard let kind: Activation = ["none": .gelu, "tanh": .geluTanh][approximate] else {
        throw Unreadable(node, "approximate is \(quoted(approximate)); expected \"none\" or \"tanh\"")
      }
      return try step(.activation(kind))
    case "Clip":
      let attributes = try Attributes(of: node, "min", "max")
      let low = try attributes.float("min").map { Double($0) } ?? number(node.input(1))
      let high = try attributes.float("max").map { Double($0) } ?? number(node.input(2))
      guard low == -1, high == 1 else {
        let limits = [low, high].map { $0.map { "\(Float($0))" } ?? "none" }
        throw Unreadable(node, "its limits are \(limits[0]) and \(limits[1]); expected -1.0 and 1.0")
      }
      return try step(.activation(.hardTanh))
    case "Softmax", "LogSoftmax":
      let axis = try Attributes(of: node, "axis").integer("axis") ?? -1
      guard axis == -1 || axis == 1 else { throw Unreadable(node, "axis is \(axis); expected -1 or 1") }
      return try step(.activation(.softmax))

    case "BatchNormalization":
      let attributes = try Attributes(of: node, "epsilon", "momentum", "training_mode", "spatial")
      try attributes.expectInteger("training_mode", 0, default: 0)
      try attributes.expectInteger("spatial", 1, default: 1)
      let norm = BatchNorm(
        momentum: Self.momentum(try attributes.float("momentum") ?? 0.9),
        epsilon: decimal(try attributes.float("epsilon") ?? 1e-5))
      return try step(.batchNorm(norm, (1...4).map { try constant(node, $0) }))
    case "LayerNormalization":
      let attributes = try Attributes(of: node, "axis", "epsilon", "stash_type")
      let axis = try attributes.integer("axis") ?? -1
      guard axis == -1 || axis == 1 else { throw Unreadable(node, "axis is \(axis); expected -1 or 1") }
      let norm = LayerNorm(epsilon: decimal(try attributes.float("epsilon") ?? 1e-5))
      let bias = node.input(2) == nil ? [] : [try constant(node, 2)]
      return try step(.layerNorm(norm, [constant(node, 1)] + bias))
    case "ai.onnx.ml.Scaler":
      let attributes = try Attributes(of: node, "offset", "scale")
      let (offset, scale) = (attributes.floats("offset"), attributes.floats("scale"))
      return try step(.scaler(mean: offset.map { Double($0) }, factor: scale.map { Double($0) }))

    case "Identity":
      return try node.layer == nil ? step(.nothing) : activation(.identity)
    case "Dropout":
      _ = try Attributes(of: node, "ratio", "seed")
      if let mode = node.input(2) {
        guard let training = constants[mode], [[0], []].contains(training.proto.rawData.map { $0 }),
          training.proto.int32Data.allSatisfy({ $0 == 0 })
        else { throw Unreadable(node, "it drops in prediction too; expected training_mode false") }
      }
      return try step(.nothing)
    case "Cast":
      let type = try Attributes(of: node, "to", "saturate", "round_mode").integer("to") ?? 0
      guard type == 1 || type == 11 else {
        let name = Constant.name(
          Onnx_TensorProto.DataType(rawValue: Int(clamping: type)), Int32(clamping: type))
        throw Unreadable(node, "it casts to \(name); expected FLOAT or DOUBLE")
      }
      return try step(.nothing)
    case "ai.onnx.ml.ZipMap": return try step(.nothing)
    case "Flatten":
      try Attributes(of: node, "axis").expectInteger("axis", 1, default: 1)
      return try step(.flatten)
    case "Reshape":
      let allowsZero = try Attributes(of: node, "allowzero").integer("allowzero") ?? 0
      let dims = try constant(node, 1).integers()
      guard allowsZero == 0 || !dims.contains(0) else {
        throw Unreadable(node, "its shape is \(dims); a size of 0 leaves no rows")
      }
      return try step(.reshape(dims: dims))
    case "Concat": return try complement(node)
    default:
      throw Unreadable(node, "the operator is not supported")
    }
  }

  /// The double that a float32 was most likely rounded from: its shortest decimal's.
  private func decimal(_ value: Float) -> Double { Double("\(value)") ?? Double(value) }

  /// The share of a batch in running statistics, from ONNX's, which is that of what was there; it does nothing to a
  /// prediction. 1 − 0.9 in float32 is 0.1 to its seven digits.
  private static func momentum(_ kept: Float) -> Double {
    let share = ((1 - Double(kept)) * 1e7).rounded() / 1e7
    return share > 0 && share <= 1 ? share : BatchNorm().momentum
  }

  private func gemm(_ node: Node) throws -> Step.Action {
    let attributes = try Attributes(of: node, "alpha", "beta", "transA", "transB")
    try attributes.expectInteger("transA", 0, default: 0)
    let isTransposed = try attributes.integer("transB") ?? 0
    guard isTransposed == 0 || isTransposed == 1 else {
      throw Unreadable(node, "transB is \(isTransposed); expected 0 or 1")
    }
    return .dense(
      weights: try constant(node, 1), isTransposed: isTransposed == 1,
      bias: node.input(2) == nil ? nil : try constant(node, 2),
      alpha: Double(try attributes.float("alpha") ?? 1),
      beta: Double(try attributes.float("beta") ?? 1))
  }

  /// A bias behind a product, a scaling by constants, or the sum of a residual block.
  private func arithmetic(_ node: Node) throws -> Step {
    _ = try Attributes(of: node)
    guard let left = node.input(0), let right = node.input(1) else {
      throw Unreadable(node, "it has fewer than 2 inputs")
    }
    func step(_ action: Step.Action, of name: String) -> Step {
      Step(action: action, node: node, input: name, output: node.output)
    }
    switch (constants[left], constants[right], node.type) {
    case (nil, let values?, "Add"), (let values?, nil, "Add"):
      let x = constants[left] == nil ? left : right
      // A product without a bias takes it as its own.
      if let product = producers[x], ["MatMul", "Gemm"].contains(product.type), product.input(2) == nil,
        values.dims.count <= 2,
        case .dense(let weights, let isTransposed, nil, let alpha, _) =
          try self.step(of: product).action
      {
        return step(
          .dense(weights: weights, isTransposed: isTransposed, bias: values, alpha: alpha, beta: 1),
          of: try computed(product))
      }
      return step(.shift(values, sign: 1), of: x)
    case (nil, let values?, "Sub"): return step(.shift(values, sign: -1), of: left)
    case (nil, let values?, "Mul"): return step(.factor(values, isInverse: false), of: left)
    case (let values?, nil, "Mul"): return step(.factor(values, isInverse: false), of: right)
    case (nil, let values?, "Div"): return step(.factor(values, isInverse: true), of: left)
    case (nil, nil, "Add"):
      // Of the two, the sum's block ends in the one that is made later.
      let (a, b) = (passed(left), passed(right))
      let isLeftLater = (producers[a]?.index ?? -1) >= (producers[b]?.index ?? -1)
      return step(.residual(skip: isLeftLater ? b : a), of: isLeftLater ? left : right)
    case (nil, nil, _):
      throw Unreadable(node, "of two computed tensors; this is no activation of Chainrule's")
    default:
      throw Unreadable(node, "its first input is constant; expected the second to be")
    }
  }

  /// [1 − p, p], as a classifier of two classes has it
  private func complement(_ node: Node) throws -> Step {
    let axis = try Attributes(of: node, "axis").integer("axis") ?? 1
    let inputs = node.proto.input
    guard inputs.count == 2, axis == 1 || axis == -1, let other = producers[passed(inputs[0])],
      other.type == "Sub",
      number(other.input(0)) == 1, let p = other.input(1), passed(p) == passed(inputs[1])
    else { throw Unreadable(node, "expected it to join 1 - p and p of one sigmoid p") }
    return Step(action: .complement, node: node, input: passed(p), output: node.output)
  }

  /// Whether a node hands its input on as it is, and is no layer of Chainrule's.
  private static func isTransparent(_ node: Node) -> Bool {
    switch node.type {
    case "Identity": node.layer == nil
    case "Cast": node.proto.attribute.contains { $0.name == "to" && ($0.i == 1 || $0.i == 11) }
    default: false
    }
  }

  /// The tensor behind nodes that hand it on as it is.
  private func passed(_ name: String) -> String {
    var name = name
    while let node = producers[name], Self.isTransparent(node), node.output == name,
      let source = node.input(0)
    {
      name = source
    }
    return name
  }

  /// Whether `tensor` is the formula's value for some z, which it then names.
  private func matches(_ tensor: String, _ formula: Formula, _ z: inout String?) -> Bool {
    switch formula {
    case .z:
      let source = passed(tensor)
      guard constants[source] == nil, z == nil || z == source else { return false }
      z = source
      return true
    case .number(let expected):
      guard let value = number(tensor) else { return false }
      return isClose(value, expected)
    case .apply(let name, let arguments):
      let source = passed(tensor)
      guard let node = producers[source], node.type == name, node.output == source,
        node.proto.attribute.isEmpty, node.proto.input.count == arguments.count
      else { return false }
      func match(_ inputs: [String], _ z: inout String?) -> Bool {
        for (input, argument) in zip(inputs, arguments) where !matches(input, argument, &z) { return false }
        return true
      }
      let before = z
      if match(node.proto.input, &z) { return true }
      z = before
      guard ["Add", "Mul", "Max", "Min"].contains(name) else { return false }
      if match(node.proto.input.reversed(), &z) { return true }
      z = before
      return false
    }
  }
}
