import ChainruleExplain
import Foundation
import TestSupport
import Testing

@Suite struct `A step file` {
  static let layerNorm = #"{"type": "layerNorm", "epsilon": 1e-5, "gamma": [1, 1, 1], "beta": [0, 0, 0]}"#
  static let valid = """
    {"inputs": 2,
     "layers": [
      {"type": "dense", "units": 3, "activation": "tanh", "weights": [[1, 2], [3, 4], [5, 6]], "bias": [0, 0, 1]},
      \(layerNorm),
      {"type": "dense", "units": 1, "activation": "identity", "weights": [[1, 2, 3]], "bias": null}],
     "loss": "halfSquaredError",
     "optimizer": {"type": "sgd", "learningRate": 0.1},
     "batches": [
      {"x": [[1, 2], [3, 4]], "y": [[7], [8]]},
      {"x": [[5, 6]], "y": [[9]], "sampleWeights": [0.5]}]}
    """

  @Test func `may leave out name, scalar, bias, sample weights and what to expect`() throws {
    let stepFile = try StepFile(json: Data(Self.valid.utf8))
    #expect(stepFile.name == nil && stepFile.scalar == nil && stepFile.expect == nil)
    #expect(stepFile.layers[0].weights == [[1, 2], [3, 4], [5, 6]])
    #expect(stepFile.layers[2].bias == nil)
    #expect(stepFile.batches.map(\.sampleWeights) == [nil, [0.5]])
  }

  @Test(arguments: try goldenCases())
  func `survives being written and read`(golden: StepFile) throws {
    #expect(try StepFile(json: JSONEncoder().encode(golden)) == golden)
  }

  @Test func `names the running variance var`() throws {
    let golden = try goldenCases().first { $0.name == "batch-norm" }
    let after = try #require(golden?.expect?.parametersAfter[1])
    #expect(after.variance?.count == 8)
    #expect(after.mean?.count == 8)
  }

  /// A valid file with one thing changed, and what is said of it.
  @Test(arguments: [
    (#""inputs": 2"#, #""inputs": 0"#, "inputs: expected at least 1, found 0"),
    (#""inputs": 2"#, #""inputs": 3"#, "layer 1, weights, row 1: expected 3 numbers, found 2"),
    (#""inputs": 2"#, #""inputs": 2, "scalar": "half""#, "scalar: expected float64 or float32, found half"),
    ("[3, 4], [5", "[3], [5", "layer 1, weights, row 2: expected 2 numbers, found 1"),
    (", [5, 6]]", "]", "layer 1, weights: expected 3 rows, found 2"),
    ("[0, 0, 1]", "[0, 0]", "layer 1, bias: expected 3 numbers, found 2"),
    (#""units": 3"#, #""units": 0"#, "layer 1, units: expected at least 1, found 0"),
    (#""units": 3,"#, "", "layer 1, units: missing"),
    (#""activation": "tanh","#, "", "layer 1, activation: missing"),
    ("[[1, 2, 3]]", "[[1, 2]]", "layer 3, weights, row 1: expected 3 numbers, found 2"),
    (#""gamma": [1, 1, 1]"#, #""gamma": [1]"#, "layer 2, gamma: expected 3 numbers, found 1"),
    (#", "beta": [0, 0, 0]"#, "", "layer 2, beta: missing"),
    (
      "layerNorm", "norm",
      "layer 2, type: expected dense, activation, dropout, batchNorm, layerNorm, scaling or residual, found norm"
    ),
    (layerNorm, #"{"type": "activation"}"#, "layer 2, activation: missing"),
    (layerNorm, #"{"type": "dropout"}"#, "layer 2, rate: missing"),
    (layerNorm, #"{"type": "residual"}"#, "layer 2, span: missing"),
    (layerNorm, #"{"type": "scaling", "mean": [1, 2, 3]}"#, "layer 2, deviation: missing"),
    (
      layerNorm, #"{"type": "scaling", "mean": [1, 2], "deviation": [1, 2, 3]}"#,
      "layer 2, mean: expected 3 numbers, found 2"
    ),
    (
      layerNorm, #"{"type": "batchNorm", "gamma": [1, 1, 1], "beta": [0, 0, 0], "var": [1]}"#,
      "layer 2, var: expected 3 numbers, found 1"
    ),
    (#"[[1, 2], [3, 4]], "y""#, #"[[1, 2], [3]], "y""#, "batch 1, x, row 2: expected 2 numbers, found 1"),
    ("[[7], [8]]", "[[7], [8, 9]]", "batch 1, y, row 2: expected 1 number, found 2"),
    ("[[7], [8]]", "[[7]]", "batch 1, y: expected 2 rows as in x, found 1"),
    (#""x": [[5, 6]]"#, #""x": []"#, "batch 2, x: expected at least one row, found none"),
    ("[0.5]", "[0.5, 1]", "batch 2, sampleWeights: expected 1 number as x has rows, found 2"),
    ("[0.5]", "[0]", "batch 2, sampleWeights: expected no negative number and a sum above 0"),
    (#""loss": "halfSquaredError","#, "", "loss: missing"),
    (#", "learningRate": 0.1"#, "", "optimizer.learningRate: missing"),
    ("[3, 4], [5", #"["3", 4], [5"#, "layers[0].weights[1][0]: expected a number"),
    (#""units": 3"#, #""units": "3""#, "layers[0].units: expected a whole number"),
    ("[[7], [8]]", "[7, 8]", "batches[0].y[0]: expected an array"),
    ("[[7], [8]]", "null", "batches[0].y: expected an array, found null"),
    (#"{"type": "sgd", "learningRate": 0.1}"#, #""sgd""#, "optimizer: expected an object"),
  ])
  func `that is wrong says where and how`(old: String, new: String, message: String) {
    #expect(Self.valid.contains(old))
    let json = Self.valid.replacing(old, with: new, maxReplacements: 1)
    let error = #expect(throws: StepFileError.self) { try StepFile(json: Data(json.utf8)) }
    #expect(error?.description == message)
  }

  @Test(arguments: ["layers", "batches"])
  func `without any is not one`(key: String) throws {
    var stepFile = try StepFile(json: Data(Self.valid.utf8))
    if key == "layers" { stepFile.layers = [] } else { stepFile.batches = [] }
    #expect { try stepFile.validate() } throws: { ($0 as? StepFileError)?.place == key }
  }

  @Test(arguments: [
    "", "{", #"{"inputs": 2,"#, "[1, 2", "{\"inputs\": 1e400}", "{\"inputs\": NaN}", "{\"inputs\": 1,}",
  ])
  func `that is not JSON is refused in one line, with its place`(json: String) {
    let error = #expect(throws: StepFileError.self) { try StepFile(json: Data(json.utf8)) }
    #expect(error?.place.hasPrefix("line 1, column ") == true)
    #expect(#expect(throws: StepFileError.self) { try StepFile.all(json: Data(json.utf8)) } == error)
    #expect(error?.reason.contains("\n") == false)
    #expect(error?.reason.isEmpty == false)
  }

  /// A part of the valid file, what takes its place, and what is said of it.
  private static let keys: [(part: String, instead: String, message: String)] = [
    ("\"loss\"", "\"los\": 1, \"loss\"", "los: unknown key; did you mean loss?"),
    (
      "\"bias\"", "\"bais\": [], \"bias\"",
      "layers[0].bais: unknown key of a dense layer; did you mean bias?"
    ),
    (
      "\"bias\"", "\"gamma\": [], \"bias\"", "layers[0].gamma: unknown key of a dense layer; expected type, "
    ),
    (
      "\"learningRate\"", "\"momentun\": 1, \"learningRate\"",
      "optimizer.momentun: unknown key; did you mean momentum?"
    ),
    ("\"x\"", "\"rows\": 1, \"x\"", "batches[0].rows: unknown key; expected x, y or sampleWeights"),
    ("\"loss\"", "\"inputs\": 2, \"loss\"", "line "),
  ]

  @Test(arguments: keys.indices) func `says nothing that is not understood, and nothing twice`(index: Int)
    throws
  {
    let (part, instead, message) = Self.keys[index]
    let json = Self.valid.replacing(part, with: instead, maxReplacements: 1)
    try #require(json != Self.valid)
    let error = #expect(throws: StepFileError.self) { try StepFile(json: Data(json.utf8)) }
    #expect(error?.description.hasPrefix(message) == true, "\(String(describing: error))")
    // In a file of several steps, too.
    let several = #expect(throws: StepFileError.self) {
      try StepFile.all(json: Data("{\"examples\": [\(Self.valid), \(json)]}".utf8))
    }
    let place = message.hasPrefix("line ") ? message : "examples[1].\(message)"
    #expect(several?.description.hasPrefix(place) == true, "\(String(describing: several))")
  }
}
