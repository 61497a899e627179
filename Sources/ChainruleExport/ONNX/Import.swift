import Chainrule
public import ChainrulePlatform
internal import SwiftProtobuf

// A file becomes a model in four passes, each a function on the graph:
//
//     read        Graph.swift      reads and checks the file; for tensors, finds their values (Outline.swift)
//     fold        Folding.swift    converts nodes with known inputs to constants
//     normalise   Idioms.swift     converts nodes to steps, one rule per idiom, from the output to the input
//     match       Chain.swift      converts steps to layers, from the input on, and checks the sizes; the
//                                  network reads the weights from the file, layer by layer
//
// TableRows.swift reads the nodes before the first layer in a pipeline of scikit-learn: columns, categories,
// missing values.

extension SavedModel {
  /// Reads a dense network from an ONNX file, which may come from another program.
  ///
  /// The model is in float64 if the file's parameters are, otherwise in float32. If there are several
  /// outputs, the one that is not labels is used. A final LogSoftmax becomes softmax. The model includes the
  /// names of the classes. Use ``init(onnx:output:)`` for a model whose values are in other files.
  ///
  /// - Parameter output: The name of the output to use; `nil` for the only one with numbers.
  /// - Throws: `ChainruleError.invalidModel` if the file is not a dense network that Chainrule supports; the
  ///   reason names the node.
  public init(onnxBytes bytes: Data, output: String? = nil) throws(ChainruleError) {
    self = try Self.read(bytes, path: "ONNX", folder: nil, output)
  }

  /// Reads an ONNX file, and the files with its values in the same folder; see ``init(onnxBytes:output:)``.
  ///
  /// - Throws: The errors of ``init(onnxBytes:output:)``; `ChainruleError.file` if the system refuses.
  public init(onnx path: String, output: String? = nil) throws(ChainruleError) {
    let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    self = try Self.read(
      contents(ofFile: path), path: path, folder: folder.isEmpty ? "/" : folder, output)
  }

  private static func read(
    _ bytes: some ContiguousBytes, path: String, folder: String?, _ output: String?
  ) throws(ChainruleError) -> SavedModel {
    do {
      return try model(of: bytes, TensorBytes(of: bytes, folder: folder), output)
    } catch let error as Unreadable {
      throw .invalidModel(path: path, reason: error.reason)
    } catch ChainruleError.outOfMemory(let message) {
      throw .outOfMemory(message: message)
    } catch {
      // Chainrule's own message about the network.
      throw .invalidModel(path: path, reason: "\(error)")
    }
  }

  private static func model(
    of bytes: some ContiguousBytes, _ tensors: TensorBytes, _ output: String?
  ) throws -> SavedModel {
    let (outline, size) = try bytes.withUnsafeBytes { (try Outline(of: $0).bytes, $0.count) }
    guard let file = try? Onnx_ModelProto(serializedBytes: outline) else { throw Outline.noModel }
    var graph = try Graph(file, tensors, size: size)
    try graph.fold()
    let path = try graph.path(to: output)
    let chain = try Chain(path, allowance: graph.allowance)
    func names(_ key: String) throws -> [String]? {
      guard let entry = file.metadataProps.first(where: { $0.key == key }) else { return nil }
      guard let names = try? JSONDecoder().decode([String].self, from: Data(entry.value.utf8)) else {
        throw Unreadable("metadata \(quoted(key)): expected a JSON array of strings")
      }
      return names
    }
    let found = try graph.labels(of: path, chain)
    func model<Scalar: NetworkScalar>(in _: Scalar.Type) throws -> Model<Scalar> {
      try chain.model(
        features: names(NamesKey.features) ?? path.columns?.featureNames,
        targets: names(NamesKey.targets) ?? found.targets, classes: names(NamesKey.classes) ?? found.classes,
        columns: path.columns)
    }
    return try chain.isDouble ?? path.isDouble
      ? .float64(model(in: Double.self)) : .float32(model(in: Float.self))
  }
}

// MARK: - From the output to the input

/// The steps from a graph's rows to its output.
struct Path {
  /// The steps in order.
  var steps: [Step]
  /// The input of the first step.
  var input: String
  /// The dimensions of the graph's rows, if stated; sizes that are not stated are `nil`.
  var dims: [Int?]?
  /// The number of rows if it is stated.
  var batch: Int?
  /// Whether the rows are in float64.
  var isDouble: Bool
  /// The conversion of a table's columns to the rows; `nil` if the rows are the input.
  var columns: TableRows?
  /// The name of the output.
  var output: String
}

extension Graph {
  private static func list(_ names: [String]) -> String {
    names.isEmpty ? "" : ", " + names.prefix(4).map(quoted).joined(separator: ", ")
  }

  /// Returns the steps to the output with that name, or to the only one with numbers.
  ///
  /// - Throws: `Unreadable` for the first node on the path that no layer can represent.
  func path(to output: String?) throws -> Path {
    guard output == nil || producers[output!] != nil else {
      throw Unreadable(
        "there is no output \(quoted(output!)); the graph has \(Self.list(outputs).dropFirst(2))")
    }
    let numbers =
      outputs.count == 1 ? outputs : outputs.filter { !labels.contains($0) && producers[$0] != nil }
    let wanted = output.map { [$0] } ?? numbers
    let paths = try wanted.map { try path(toTensor: $0) }
    guard paths.count == 1 else {
      throw Unreadable(
        "the graph has \(outputs.count) outputs\(Self.list(outputs)); choose one by its name (--output-name)")
    }
    return paths[0]
  }

  private func path(toTensor output: String) throws -> Path {
    var steps: [Step] = []
    var tensor = output
    while input(named: tensor) == nil {
      guard let node = producers[tensor] else {
        let isThere = constants[tensor] != nil
        throw Unreadable(
          "output \(quoted(output)): \(quoted(tensor)) is \(isThere ? "constant" : "missing")")
      }
      guard tensor == node.result else {
        let culprit = firstCulprit(before: node)
        throw culprit ?? Unreadable(node, "\(quoted(tensor)) is its second output; expected its first")
      }
      if let columns = try TableRows(self, endingIn: node) {
        return Path(
          steps: (steps + columns.scalings).reversed(), input: tensor, dims: [columns.features.count],
          isDouble: columns.isDouble, columns: columns, output: output)
      }
      guard let step = try? step(of: node) else {
        throw firstCulprit(before: node) ?? Unreadable(node, "the operator is not supported")
      }
      steps.append(step)
      tensor = step.input
    }
    let input = input(named: tensor)!
    guard input.type.isNumber || input.type == .undefined else {
      throw Unreadable(
        "input \(quoted(input.name)): it is of type \(ElementType.name(input.typeNumber)); expected numbers, such as "
          + "FLOAT or DOUBLE")
    }
    guard input.dims != [], input.batch == nil || input.dims != nil else {
      throw Unreadable(
        "input \(quoted(input.name)): it has no dimension of features; expected [batch, features]")
    }
    try checkIsOnly(input, steps, output)
    return Path(
      steps: steps.reversed(), input: tensor, dims: input.dims, batch: input.batch,
      isDouble: input.type == .double, output: output)
  }

  /// Throws for sums with rows of another input, which look like residual blocks without a beginning.
  private func checkIsOnly(_ input: Input, _ steps: [Step], _ output: String) throws {
    for step in steps {
      for case .residual(let skip) in step.actions {
        guard let other = self.input(named: skip), other.name != input.name else { continue }
        throw Unreadable(
          step.node, "it takes input \(quoted(other.name)) and input \(quoted(input.name)); expected one")
      }
    }
  }

  /// Returns the error of the first node, in the file's order, that leads to `last` and is not a step.
  private func firstCulprit(before last: Node) -> Unreadable? {
    var first: (index: Int, error: Unreadable)?
    var (waiting, seen): ([Node], Set<Int>) = ([last], [])
    while let node = waiting.popLast() {
      guard seen.insert(node.index).inserted else { continue }
      do {
        let step = try step(of: node)
        var sources = [step.input]
        for case .residual(let skip) in step.actions { sources.append(skip) }
        waiting += sources.compactMap { producers[$0] }
      } catch {
        if node.index < first?.index ?? .max, let error = error as? Unreadable { first = (node.index, error) }
        waiting += node.proto.input.compactMap { producers[$0] }
      }
    }
    return first?.error
  }

  // MARK: Names

  /// Returns the names of the classes or, if a row may have several, of the targets.
  func labels(of path: Path, _ chain: Chain) throws -> (targets: [String]?, classes: [String]?) {
    var (names, source): ([String]?, Node?)
    for step in path.steps where step.node.type == "ai.onnx.ml.ZipMap" || step.node.isClassifier {
      guard let found = try classLabels(of: step.node) else { continue }
      (names, source) = (found, step.node)
    }
    names = try names ?? extractedClasses(count: chain.outputs)
    guard let source, source.type == "ai.onnx.ml.ZipMap", chain.endsInSigmoids else { return (nil, names) }
    // The nodes that compute the labels show whether each sigmoid is a decision, or the largest of them.
    let makers = Set(labels.compactMap { producers[$0]?.type })
    if makers.contains("ArgMax") || makers.contains("TopK") { return (nil, names) }
    guard makers.contains("ai.onnx.ml.Binarizer") else {
      throw Unreadable(
        source,
        "it names \(chain.outputs) sigmoids, and no node says whether a row has one of these labels or several; expected "
          + "an output of labels, or one before this node by its name (--output-name)")
    }
    return (names, nil)
  }

  /// Returns the labels from which the graph selects the label of a row.
  private func extractedClasses(count: Int) throws -> [String]? {
    for node in nodes where node.type == "ai.onnx.ml.ArrayFeatureExtractor" {
      guard let name = node.input(0), let classes = constants[name], classes.count == count else { continue }
      return try classes.names()
    }
    return nil
  }
}
