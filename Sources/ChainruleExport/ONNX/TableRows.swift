import Chainrule
internal import ChainrulePlatform
internal import SwiftProtobuf

/// The rows that nodes compute from the columns of a table, before the first layer: numbers, with optional
/// replacements for missing ones, and one-hot categories.
///
/// A pipeline of scikit-learn begins in this way. Its SimpleImputer and OneHotEncoder become the model's
/// ``TableEncoding``, and its scalers a layer.
struct TableRows {
  /// One feature of the rows.
  struct Feature {
    enum Kind {
      /// (x − mean) · factor; `missing` replaces a missing x
      case number(missing: Double?, mean: Double, factor: Double)
      /// 1 if the cell is the category at `place`, otherwise 0
      case category(place: Int, categories: [String], zeros: Bool, node: Node)
    }

    var kind: Kind
    var column: Column
  }

  /// A column of the table: an input, or one column of an input with several.
  struct Column: Hashable {
    var input: String
    /// Counted from 0
    var index: Int
  }

  private(set) var features: [Feature]
  private let graph: Graph
  private let last: Node

  /// Returns the rows that the nodes up to `node` compute from the graph's inputs; `nil` if these nodes do
  /// not encode columns.
  init?(_ graph: Graph, endingIn node: Node) throws {
    let joins = node.type == "Concat" && (try? graph.step(of: node)) == nil
    guard joins || ["ai.onnx.ml.Imputer", "ai.onnx.ml.OneHotEncoder"].contains(node.type) else { return nil }
    self.graph = graph
    last = node
    features = []
    // Other joins, such as that of two branches of a network, do not join columns.
    if joins, graph.inputs.count < 2, !Self.hasEncoders(before: node, graph) { return nil }
    features = try rows(of: node.output)
    try checkColumns()
  }

  private static func hasEncoders(before last: Node, _ graph: Graph) -> Bool {
    var (waiting, seen): ([Node], Set<Int>) = ([last], [])
    while let node = waiting.popLast() {
      guard seen.insert(node.index).inserted else { continue }
      if ["ai.onnx.ml.Imputer", "ai.onnx.ml.OneHotEncoder"].contains(node.type) { return true }
      waiting += node.proto.input.compactMap { graph.producers[$0] }
    }
    return false
  }

  /// Whether the numbers are in float64.
  var isDouble: Bool {
    let types = Set(
      features.compactMap { graph.input(named: $0.column.input)?.type }.filter { $0 != .string })
    return types == [.double]
  }

  // MARK: From the inputs to the rows

  /// Returns the features of a tensor. A tensor is visited as often as it is used; `depth` is the number of
  /// nodes after it.
  private func rows(of tensor: String, depth: Int = 0) throws -> [Feature] {
    if let input = graph.input(named: tensor) { return try columns(of: input) }
    guard let node = graph.producers[tensor], depth < 64 else {
      throw Unreadable("\(quoted(tensor)) is not a column of an input")
    }
    func given(_ position: Int = 0) throws -> [Feature] {
      try rows(of: graph.computed(node, position), depth: depth + 1)
    }
    switch node.type {
    case "Identity", "Flatten", "Dropout": return try given()
    case "Concat":
      guard let axis = try Attributes(of: node, "axis").integer("axis"), axis == 1 || axis == -1 else {
        throw Unreadable(node, "expected it to join columns: axis 1 or -1")
      }
      var features: [Feature] = []
      for position in node.proto.input.indices {
        features += try given(position)
        guard features.count <= Int(Int16.max) * 8 else {
          throw Unreadable(node, "it joins too many columns")
        }
      }
      return features
    case "Cast":
      let to = ElementType(
        rawValue: Int(clamping: try Attributes(of: node, "to", "saturate").integer("to") ?? 0))
      let features = try given()
      let isWhole = features.allSatisfy { graph.input(named: $0.column.input)?.type.isInteger == true }
      guard to?.isReal == true || to == .string || (to == .int64 && isWhole) else {
        throw Unreadable(
          node, "it casts columns to \(ElementType.name(Int32(to?.rawValue ?? 0))); expected FLOAT")
      }
      return features
    case "Reshape":
      let features = try given()
      let shape = try graph.constant(node, 1).integers()
      guard shape.count == 2, shape[0] == -1 || shape[0] == 0,
        [Int64(features.count), -1].contains(shape[1]),
        shape != [-1, -1]
      else { throw Unreadable(node, "its shape is \(shape); expected [-1, \(features.count)]") }
      return features
    case "Gather", "ai.onnx.ml.ArrayFeatureExtractor":
      let features = try given()
      let axis = try Attributes(of: node, "axis").integer("axis") ?? (node.type == "Gather" ? 0 : 1)
      let places = try graph.constant(node, 1).integers().map {
        Int($0 < 0 ? $0 &+ Int64(features.count) : $0)
      }
      guard axis == 1 || axis == -1, !places.isEmpty, places.allSatisfy(features.indices.contains) else {
        throw Unreadable(node, "expected it to take some of \(features.count) columns")
      }
      return places.map { features[$0] }
    case "ai.onnx.ml.Imputer": return try imputed(given(), node)
    case "ai.onnx.ml.Scaler":
      let attributes = try Attributes(of: node, "offset", "scale")
      return try scaled(
        given(), attributes.floats("offset").map { Double($0) },
        attributes.floats("scale").map { Double($0) }, node)
    case "Sub", "Div", "Add", "Mul":
      let values = try graph.constant(node, 1).numbers()
      let isShift = node.type == "Add" || node.type == "Sub"
      if node.type == "Div", let index = values.firstIndex(of: 0) {
        throw Unreadable(node, "value \(index + 1) that it divides by is 0; expected another number")
      }
      let operand = values.map { node.type == "Add" ? -$0 : node.type == "Div" ? 1 / $0 : $0 }
      return try scaled(given(), isShift ? operand : [], isShift ? [] : operand, node)
    case "ai.onnx.ml.OneHotEncoder": return try categories(given(), node)
    default:
      throw Unreadable(node, "the operator is not supported on columns of a table, before the first layer")
    }
  }

  private func columns(of input: Graph.Input) throws -> [Feature] {
    guard input.type.isNumber || input.type == .string else {
      throw Unreadable(
        "input \(quoted(input.name)): it is of type \(ElementType.name(input.typeNumber)); expected numbers or strings"
      )
    }
    guard let dims = input.dims, dims.count == 1, let count = dims[0], count <= Int(Int16.max) else {
      throw Unreadable("input \(quoted(input.name)): its number of columns is not stated")
    }
    return (0..<count).map {
      Feature(
        kind: .number(missing: nil, mean: 0, factor: 1), column: Column(input: input.name, index: $0))
    }
  }

  private func imputed(_ features: [Feature], _ node: Node) throws -> [Feature] {
    let attributes = try Attributes(
      of: node, "imputed_value_floats", "imputed_value_int64s", "replaced_value_float", "replaced_value_int64"
    )
    var values = attributes.floats("imputed_value_floats").map { Double($0) }
    if values.isEmpty { values = (attributes.integers("imputed_value_int64s") ?? []).map { Double($0) } }
    guard values.count == features.count || values.count == 1 else {
      throw Unreadable(
        node, "it has \(values.count) values for \(features.count) columns; expected one per column")
    }
    let replaced = node.proto.attribute.first { $0.name == "replaced_value_float" }?.f
    guard replaced?.isNaN == true else {
      throw Unreadable(
        node,
        "it replaces \(replaced.map { "\($0)" } ?? "an integer"), which does not mean a missing cell; expected it to replace NaN"
      )
    }
    return try features.enumerated().map { index, feature in
      guard case .number(nil, mean: 0, factor: 1) = feature.kind else {
        throw Unreadable(node, "expected it to be the first operation on a column")
      }
      let value = values[values.count == 1 ? 0 : index]
      guard value.isFinite else {
        throw Unreadable(node, "value \(index + 1) is \(value); expected a finite number")
      }
      return Feature(kind: .number(missing: value, mean: 0, factor: 1), column: feature.column)
    }
  }

  /// (x − mean) · factor, with one number for all or one per feature; an empty array means 0, or 1
  private func scaled(
    _ features: [Feature], _ means: [Double], _ factors: [Double], _ node: Node
  ) throws -> [Feature] {
    for (name, values) in [("offset", means), ("scale", factors)] {
      guard values.count <= 1 || values.count == features.count else {
        throw Unreadable(node, "it has \(values.count) values of \(name) for \(features.count) columns")
      }
      if let index = values.firstIndex(where: { !$0.isFinite }) {
        throw Unreadable(node, "\(name) \(index + 1) is \(values[index]); expected a finite number")
      }
    }
    return try features.enumerated().map { index, feature in
      let mean = means.isEmpty ? 0 : means[means.count == 1 ? 0 : index]
      let factor = factors.isEmpty ? 1 : factors[factors.count == 1 ? 0 : index]
      guard case .number(let missing, let oldMean, let oldFactor) = feature.kind, oldFactor != 0 else {
        throw Unreadable(node, "it scales categories; expected it to scale numbers")
      }
      return Feature(
        kind: .number(missing: missing, mean: oldMean + mean / oldFactor, factor: oldFactor * factor),
        column: feature.column)
    }
  }

  private func categories(_ features: [Feature], _ node: Node) throws -> [Feature] {
    let attributes = try Attributes(of: node, "cats_strings", "cats_int64s", "zeros")
    let strings = attributes.strings("cats_strings")
    let categories = strings.isEmpty ? (attributes.integers("cats_int64s") ?? []).map { "\($0)" } : strings
    let zeros = (try attributes.integer("zeros") ?? 1) != 0
    guard features.count == 1, case .number(nil, mean: 0, factor: 1) = features[0].kind else {
      throw Unreadable(node, "expected it to take one unchanged column of categories")
    }
    guard Set(categories.map { Data($0.utf8) }).count == categories.count, !categories.isEmpty,
      categories.count <= 4096
    else {
      throw Unreadable(node, "it has \(categories.count) categories; expected 1 to 4096, each once")
    }
    return categories.indices.map {
      Feature(
        kind: .category(place: $0, categories: categories, zeros: zeros, node: node),
        column: features[0].column)
    }
  }

  // MARK: Encoding

  /// Throws unless each column occurs once, and a column of categories with all of them, in order.
  private func checkColumns() throws {
    var seen: Set<Column> = []
    var index = 0
    while index < features.count {
      let feature = features[index]
      guard seen.insert(feature.column).inserted else {
        throw Unreadable(last, "column \(quoted(name(of: feature.column))) comes twice; expected each once")
      }
      switch feature.kind {
      case .number:
        guard graph.input(named: feature.column.input)?.type != .string else {
          throw Unreadable(
            last, "column \(quoted(name(of: feature.column))) has texts; expected a OneHotEncoder of it")
        }
        index += 1
      case .category(_, let categories, let zeros, let node):
        for place in categories.indices {
          guard index < features.count, features[index].column == feature.column,
            case .category(place, _, _, _) = features[index].kind
          else {
            throw Unreadable(
              node, "only some of its \(categories.count) categories are used; expected all, in their order")
          }
          index += 1
        }
        if zeros != (unknown == .zeros) {
          throw Unreadable(
            node, "zeros is \(zeros ? 1 : 0), but differs in another OneHotEncoder; expected the same in all")
        }
      }
    }
  }

  /// The treatment of unknown categories, according to the first encoder.
  private var unknown: OneHotEncoding.UnknownCategory {
    for case .category(_, _, let zeros, _) in features.lazy.map(\.kind) { return zeros ? .zeros : .error }
    return .error
  }

  private func name(of column: Column) -> String {
    let width = graph.input(named: column.input)?.dims?.first
    return width == 1 ? column.input : "\(column.input).\(column.index + 1)"
  }

  /// Whether columns have names: those of the inputs, if there are several.
  private var hasNames: Bool { graph.inputs.count > 1 }

  /// The scaling of the numbers, as a step; empty if they do not change.
  var scalings: [Step] {
    let numbers = features.map { feature in
      if case .number(_, let mean, let factor) = feature.kind { (mean, factor) } else { (0.0, 1.0) }
    }
    guard numbers.contains(where: { $0 != (0, 1) }) else { return [] }
    return [
      Step(
        actions: [.scaler(mean: numbers.map(\.0), factor: numbers.map(\.1))], node: last, input: last.output,
        output: last.output)
    ]
  }

  /// The columns in the order of their features, each with its encoding.
  private var columns: [(name: String, column: FeatureEncoding.Column)] {
    features.compactMap { feature in
      switch feature.kind {
      case .number(let missing, _, _):
        (name(of: feature.column), .number(FeatureEncoding.Number(missing: missing)))
      case .category(0, let categories, let zeros, _):
        (name(of: feature.column), .category(FeatureEncoding.Category(categories, refusesMissing: !zeros)))
      case .category: nil
      }
    }
  }

  /// The encoding of the features.
  private var encoding: FeatureEncoding {
    FeatureEncoding(
      importing: columns.map(\.column), named: hasNames ? columns.map(\.name) : nil, unknown: unknown)
  }

  /// The names of the features; `nil` if the columns have no names.
  var featureNames: [String]? { encoding.featureNames }

  /// Attaches the encoding to the network.
  func encode<Scalar: NetworkScalar>(_ network: Network<Scalar>, classes: [String]?, areLabels: Bool) throws {
    let targets =
      try classes.map { try TargetEncoding(classes: $0) }
      ?? (areLabels ? TargetEncoding.labels : TargetEncoding.numbers)
    try network.setTableEncoding(TableEncoding(features: encoding, targets: targets))
  }
}
