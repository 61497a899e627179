import Chainrule
import ChainruleExport
import Foundation
import TestSupport
import Testing

private let folder = fixtures.appending(path: "onnx/exported")

/// A model of Tests/Fixtures/onnx/exported, and what onnxruntime makes of some rows.
private struct Case: Decodable {
  var rows: [[Double]]?
  /// In place of rows, a table
  var csv: String?
  var outputs: [[Double]]

  static let all = try! ["cases.json", "keras.json"].map {
    try JSONDecoder().decode([String: Case].self, from: Data(contentsOf: folder.appending(path: $0)))
  }.reduce([:]) { $0.merging($1) { $1 } }
}

/// Models that no layers do, by the node at which they are refused.
private let refusals = [
  "torch-hard-swish-dynamo": "node \"n0\" (HardSwish): the operator is not supported",
  "torch-hard-swish-script": "node \"/1/HardSwish\" (HardSwish): the operator is not supported",
  "torch-einsum-dynamo": "node \"node_einsum\" (Einsum): the operator is not supported",
  "torch-einsum-script": "node \"/Einsum\" (Einsum): the operator is not supported",
  "torch-conv-dynamo": "node \"node_conv1d\" (Conv): the operator is not supported",
  "torch-conv-script": "node \"/0/Conv\" (Conv): the operator is not supported",
  "torch-lstm-script": "node \"/parts.0/ConstantOfShape\" (ConstantOfShape): the operator is not supported",
  "torch-two-heads-dynamo":
    "the graph has 2 outputs, \"linear\", \"linear_1\"; choose one by its name (--output-name)",
  "torch-two-heads-script": "the graph has 2 outputs, \"5\", \"6\"; choose one by its name (--output-name)",
  "sklearn-normalizer":
    "node \"Normalizer\" (ai.onnx.ml.Normalizer): it divides a row by its norm \"L2\", which no layer of Chainrule does",
  "sklearn-one-vs-rest": "node \"Concat\" (Concat): expected it to join 1 - p and p of one sigmoid p",
  "sklearn-sgd": "node \"ReduceSum\" (ReduceSum): the operator is not supported",
  "sklearn-table-drop":
    "node \"OneHotEncoder\" (ai.onnx.ml.OneHotEncoder): only some of its 3 categories are used; expected all, in their "
    + "order",
  "keras-convolution": "node \"sequential_46_1/conv1d_1/convolution\" (Conv): the operator is not supported",
  "keras-dense-exponential": "node \"sequential_2_1/dense_2_1/Exp\" (Exp): the operator is not supported",
  "keras-dense-hard-silu":
    "node \"sequential_5_1/dense_5_1/mul\" (Mul): it combines two computed tensors; this is not an activation of Chainrule",
  "keras-dense-soft-shrink": "node \"sequential_16_1/dense_16_1/Less\" (Less): the operator is not supported",
  "keras-dense-squareplus":
    "node \"sequential_20_1/dense_20_1/Square\" (Mul): it combines two computed tensors; this is not an activation of Chainrule",
  "keras-dense-tanh-shrink":
    "node \"sequential_22_1/dense_22_1/sub\" (Sub): it combines two computed tensors; this is not an activation of Chainrule",
  "keras-elu-layer": "node \"sequential_41_1/elu_1/Greater\" (Greater): the operator is not supported",
  // The exporter makes inputs of the layer's mean and variance, and leaves out their numbers.
  "keras-normalization":
    "node \"sequential_36_1/normalization_1/Sub\" (Sub): it takes input \"keras_tensor_101\" and input "
    + "\"sequential_36_1/normalization_1/Sub/y:0\"; expected one",
  "keras-unit-norm":
    "node \"sequential_45_1/unit_normalization_1/Square\" (Mul): it combines two computed tensors; "
    + "this is not an activation of Chainrule",
]

@Suite struct `What PyTorch, scikit-learn and Keras export` {
  @Test(arguments: Case.all.keys.filter { refusals[$0] == nil }.sorted())
  func `gives the outputs that onnxruntime gives`(name: String) throws {
    let fixture = try #require(Case.all[name])
    func check<Scalar: NetworkScalar>(_ model: Model<Scalar>) throws {
      let outputs: [Scalar]
      if let csv = fixture.csv {
        let pipeline = try TablePipeline(model)
        outputs = try pipeline.predict(
          CSVTable(bytes: Array(csv.utf8), options: pipeline.encoding.features.readingOptions))
      } else {
        outputs = try model.predict(try #require(fixture.rows).flatMap { $0.map { Scalar($0) } })
      }
      let expected = fixture.outputs.flatMap(\.self)
      try #require(outputs.count == expected.count)
      // Numbers inside are of the order of the largest output, or of 1; float16 keeps three digits.
      let largest = expected.reduce(1) { max($0, abs($1)) }
      let tolerance = name.hasPrefix("torch-half") ? 2e-3 : 2e-6
      for (output, expected) in zip(outputs, expected) {
        #expect(abs(Double(output) - expected) <= tolerance * largest)
      }
    }
    switch try SavedModel(onnx: folder.appending(path: "\(name).onnx").path) {
    case .float32(let model): try check(model)
    case .float64(let model): try check(model)
    }
  }

  @Test(arguments: refusals.keys.sorted())
  func `is refused by its first node that no layer does`(name: String) throws {
    let path = folder.appending(path: "\(name).onnx").path
    do {
      _ = try SavedModel(onnx: path)
      Issue.record("\(name) was read")
    } catch {
      guard case .invalidModel(_, let reason) = error else { throw error }
      #expect(reason == refusals[name])
    }
  }

  @Test(arguments: [
    ("torch-column-script", "1 identity"), ("torch-columns-dynamo", "2 identity"),
    ("torch-one-of-two-script", "1 sigmoid"), ("torch-view-script", "2 identity"),
    ("torch-layer-norm-script", "4 identity, layerNorm"), ("torch-weight-norm-dynamo", "4 relu"),
    ("torch-clamp-script", "3 relu"), ("torch-where-dynamo", "3 relu"), ("torch-threshold-dynamo", "3 relu"),
    ("torch-relu6-script", "3 identity, scaling, hardTanh, scaling, 2 identity"),
    ("torch-leaky-script", "3 identity, relu, scaling, residual (2), scaling, 1 identity"),
    ("torch-negative-scale-script", "3 identity"), ("torch-bytes-script", "scaling, 3 identity"),
    ("torch-default", "64 relu, 1 identity"), ("sklearn-logistic", "3 softmax"),
    ("sklearn-logistic-binary", "2 softmax"), ("sklearn-multilabel", "3 relu, 3 sigmoid"),
    ("sklearn-table-mixed", "scaling, 3 relu, 2 softmax"),
    ("keras-dense-gelu", "3 gelu"), ("keras-dense-celu", "3 elu"), ("keras-dense-silu", "3 silu"),
    ("keras-dense-hard-sigmoid", "3 hardSigmoid"), ("keras-flatten", "4 relu, 2 identity"),
    ("keras-image", "scaling, 4 relu, 3 softmax"), ("keras-dropout", "3 relu, 1 sigmoid"),
    ("keras-batch-norm", "3 identity (no bias), scaling, relu, 2 identity"),
    ("keras-layer-norm", "3 identity, layerNorm, relu, 2 identity"),
    ("keras-layer-norm-plain", "3 identity, layerNorm, 2 identity"),
    ("keras-residual", "3 relu, 3 tanh, residual (1), 2 identity"),
  ])
  func `has these layers`(name: String, layers: String) throws {
    #expect(try float32(name).layers.map(\.description).joined(separator: ", ") == layers)
  }

  private func float32(_ name: String, output: String? = nil) throws -> Model<Float> {
    guard
      case .float32(let model) = try SavedModel(
        onnx: folder.appending(path: "\(name).onnx").path, output: output)
    else { throw ChainruleError.invalidArgument(message: "\(name) is in float64") }
    return model
  }

  /// One class a row, or several labels: what the graph makes of its scores says it.
  @Test(arguments: [
    ("sklearn-logistic", ["0", "1", "2"], nil), ("sklearn-logistic-binary", ["0", "1"], nil),
    ("sklearn-logistic-no-zipmap", ["0", "1", "2"], nil), ("sklearn-multilabel", nil, ["0", "1", "2"]),
    ("sklearn-multilabel-no-zipmap", nil, nil), ("sklearn-table-mixed", ["0", "1"], nil),
  ])
  func `has classes, or labels of their own`(name: String, classes: [String]?, targets: [String]?) throws {
    let model = try float32(name)
    #expect(model.classLabels == classes)
    #expect(model.targetNames == targets)
  }

  @Test(arguments: [("5", 3), ("6", 1)])
  func `is the output that is chosen`(name: String, units: Int) throws {
    #expect(try float32("torch-two-heads-script", output: name).outputs == units)
  }

  @Test func `has no other output than its own`() throws {
    #expect(
      throws: ChainruleError.invalidModel(
        path: folder.appending(path: "torch-two-heads-script.onnx").path,
        reason: "there is no output \"7\"; the graph has \"5\", \"6\"")
    ) { try float32("torch-two-heads-script", output: "7") }
  }

  @Test func `encodes the columns of a table`() throws {
    let encoding = try #require(try float32("sklearn-table-mixed").tableEncoding).features
    #expect(encoding.columnNames == ["age", "height", "colour", "maker"])
    #expect(encoding.unknown == .zeros)
    guard case .number(let age) = encoding.columns[0], case .category(let colour) = encoding.columns[2] else {
      Issue.record("\(encoding.columns)")
      return
    }
    #expect(age.missing != nil)
    #expect(colour.categories == ["blue, dark", "green", "red"])
    guard case .number(let first)? = try float32("sklearn-imputer").tableEncoding?.features.columns[1] else {
      Issue.record("no imputation")
      return
    }
    #expect(abs(try #require(first.missing) - 3.05) < 0.05)
  }
}
