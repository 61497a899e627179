import Foundation
import TestSupport
import Testing

@testable import ChainruleExplain

@Suite struct `An example that comes with the command` {
  @Test(arguments: StepFileExample.all.map(\.name))
  func `is the file of Examples, runs, and has its name`(name: String) throws {
    let example = try #require(StepFileExample.all.first { $0.name == name })
    let file = fixtures.deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Examples/explain/\(name).json")
    #expect(try String(contentsOf: file, encoding: .utf8) == example.text + "\n")
    let stepFile = try StepFile(json: Data(example.text.utf8))
    #expect(stepFile.name == name)
    let explanation = try Explanation(stepFile)
    #expect(explanation.afterwards.loss < explanation.batches[0].loss)
    for line in TextRendering()(explanation).split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
  }

  @Test func `names the weights as its tutorial does`() throws {
    let example = try #require(StepFileExample.all.first { $0.name == "2-2-1" })
    let text = TextRendering()(try Explanation(StepFile(json: Data(example.text.utf8))))
    #expect(text.contains("z₁ = w₁·x₁ + w₂·x₂ = 0.12·2 + 0.33·3 = 1.23"))
    #expect(text.contains("z₁ = w₅·a₁⁽¹⁾ + w₆·a₂⁽¹⁾ = "))
    #expect(text.contains("w₆ ← 0.12 − 0.05·(−0.453891) = 0.142695"))
  }

  @Test func `ends when its loss is small enough`() throws {
    let example = try #require(StepFileExample.all.first { $0.name == "xor" })
    let explanation = try Explanation(StepFile(json: Data(example.text.utf8)))
    #expect(explanation.batches.count < 200 && explanation.afterwards.loss <= 0.01)
  }
}

@Suite struct `A step file may` {
  private let json = """
    {"inputs": 2, "layers": [{"type": "dense", "units": 2, "activation": "tanh"%@}],
     "loss": "halfSquaredError", "optimizer": {"type": "sgd", "learningRate": 0.1},%@
     "batches": [{"x": [[1, 2]], "y": [[0, 0.5]]}]}
    """

  private func stepFile(layer: String = "", more: String = "") throws -> StepFile {
    try StepFile(json: Data(String(format: json, layer, more).utf8))
  }

  @Test func `leave out the weights, which its seed draws`() throws {
    func weights(_ layer: String, _ more: String) throws -> [[Double]] {
      try Explanation(stepFile(layer: layer, more: more)).batches[0].layers[0].before.weights!
    }
    let drawn = try weights("", #""seed": 7,"#)
    #expect(try weights("", #""seed": 7,"#) == drawn)
    #expect(try weights("", #""seed": 8,"#) != drawn)
    #expect(try weights(#", "initializer": "zeros""#, "") == [[0, 0], [0, 0]])
  }

  @Test func `repeat its batches, up to a loss`() throws {
    #expect(try Explanation(stepFile(more: #""repeat": 36,"#)).batches.count == 36)
    let until = try Explanation(stepFile(more: #""untilLoss": 1e-6,"#))
    #expect(until.afterwards.loss <= 1e-6 && until.batches.count < 1000)
    #expect(until.batches.last!.loss > 1e-6)
    #expect(try Explanation(stepFile(more: #""untilLoss": 0, "repeat": 5,"#)).batches.count == 5)
  }

  @Test func `have a schedule, by which the update goes`() throws {
    let more = #""repeat": 4, "schedule": {"type": "step", "unit": "step", "length": 2, "factor": 0.1},"#
    #expect(
      try Explanation(stepFile(more: more)).batches.map(\.learningRate).map { ($0 * 1e6).rounded() }
        == [100_000, 100_000, 10_000, 10_000])
  }

  /// What is added to the layer and to the file, what is said of it, and where.
  @Test(arguments: [
    (
      #", "initializer": "glorot""#, "",
      "layer 1, initializer: unknown name glorot; did you mean glorotUniform?", #""initializer""#
    ),
    (
      #", "weigths": []"#, "", "layers[0].weigths: unknown key of a dense layer; did you mean weights?",
      #""weigths""#
    ),
    (#", "weights": [[1, 2], [3]]"#, "", "layer 1, weights, row 2: expected 2 numbers, found 1", #"[3]"#),
    (
      #", "names": {"weights": [["a", "b"]]}"#, "", "layer 1, names, weights: expected 2 rows, found 1",
      #""weights": [["a""#
    ),
    (
      #", "names": {"bias": ["a", "b"]}"#, "", "layer 1, names, bias: the layer has no bias to name",
      #""bias": ["a""#
    ),
    (
      #", "names": {"weights": [["a", "b"], ["c", "<b>"]]}"#, "",
      "layer 1, names: expected a letter and then at most 7 letters or digits, found <b>", #""names""#
    ),
    ("", #""repeat": 0,"#, "repeat: expected 1 to 10000, found 0", #""repeat""#),
    ("", #""repeats": 3,"#, "repeats: unknown key; did you mean repeat?", #""repeats""#),
    ("", #""untilLoss": -1,"#, "untilLoss: expected 0 or more, found -1.0", #""untilLoss""#),
    (
      "", #""schedule": {"type": "plateau"},"#,
      "schedule, type: plateau needs epochs; expected another schedule", #""type": "plateau""#
    ),
    (
      "", #""schedule": {"type": "exponential", "factor": 0.5},"#,
      "schedule, unit: a step file has no epochs; expected \"unit\": \"step\"", #""schedule""#
    ),
    ("", #""schedule": {"typ": "step"},"#, "schedule.typ: unknown key; did you mean type?", #""typ""#),
  ])
  func `not be wrong: it says where`(layer: String, more: String, message: String, place: String)
    throws
  {
    let text = Data(String(format: json, layer, more).utf8)
    let error = #expect(throws: StepFileError.self) { _ = try Explanation(StepFile(json: text)) }
    #expect(error?.description == message)
    let position = try #require(error?.position(in: text), "\(message)")
    let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
    #expect(lines[position.line - 1].dropFirst(position.column - 1).hasPrefix(place), "\(position)")
  }

  @Test(arguments: [
    (#"{"inputs": 2, "inputs": 2}"#, 1), ("{\"inputs\": 2,\n}", 2), (#"{"inputs": NaN}"#, 1),
    (#"{"inputs": 1e999}"#, 1),
  ])
  func `not be JSON that is none`(json: String, line: Int) {
    let error = #expect(throws: StepFileError.self) { try StepFile(json: Data(json.utf8)) }
    #expect(error?.place.hasPrefix("line \(line), column ") == true)
  }

  @Test func `be one of several, whose place is found`() throws {
    let good = String(format: json, "", "")
    let bad = String(format: json, "", #""repeat": 0,"#)
    let text = Data("{\"examples\": [\(good),\n\(bad)]}".utf8)
    let error = #expect(throws: StepFileError.self) { try StepFile.all(json: text) }
    #expect(error?.description == "examples[1], repeat: expected 1 to 10000, found 0")
    #expect(error?.position(in: text)?.line == 5)
    #expect(StepFileError(place: "loss", reason: "").position(in: text, step: 1)?.line == 5)
  }
}
