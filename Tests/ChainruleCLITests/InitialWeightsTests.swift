import Chainrule
import Foundation
import Testing

@Suite("chainrule train --initial-weights")
struct InitialWeightsTests {
  private let place: Workplace

  init() throws { place = try Workplace() }

  private func train(_ options: String) throws -> Ended {
    let run = try place.chainrule(["train"] + options.split(separator: " ").map(String.init))
    #expect(run.status == 0, "\(run.errors)")
    return run
  }

  /// W and b of each layer.
  private func parameters(_ model: Model<Double>) throws -> [[Double]] {
    try model.layers.indices.flatMap {
      let parameters = try model.parameters(ofLayer: $0)
      return [parameters.weights, parameters.bias ?? []]
    }
  }

  @Test func `trains the net of a tutorial to the numbers worked out apart`() throws {
    let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let json = try Data(contentsOf: fixtures.appending(path: "Fixtures/goldens/tutorials.json"))
    let object = try JSONSerialization.jsonObject(with: json) as? [String: Any]
    let tutorials = try #require(object?["examples"] as? [[String: Any]])
    for name in ["two-two-two-biases", "four-two-two-one"] {
      let tutorial = try #require(tutorials.first { $0["name"] as? String == name })
      let exact = try #require(tutorial["exact"] as? [String: Any])
      let step = tutorial.filter {
        ["inputs", "layers", "loss", "optimizer", "batches", "scalar"].contains($0.key)
      }
      try place.write([UInt8](JSONSerialization.data(withJSONObject: step)), to: "step.json")
      let batch = try #require((step["batches"] as? [[String: [[Double]]]])?.first)
      let (x, y) = (try #require(batch["x"]?.first), try #require(batch["y"]?.first))
      try place.write((x + y).map { "\($0)" }.joined(separator: ",") + "\n", to: "row.csv")
      let targets = (x.count + 1...x.count + y.count).map { "--target \($0)" }.joined(separator: " ")
      let rate = try #require((step["optimizer"] as? [String: Any])?["learningRate"] as? Double)
      let loss = try #require(step["loss"] as? String)
      let run = try train(
        "row.csv --no-header --preset plain \(targets) --task regression --initial-weights step.json "
          + "--optimizer sgd --learning-rate \(rate) --loss \(loss) --epochs 1 --save m --quiet --json")
      let result = try #require(try run.objects.first?["result"] as? [String: Any])
      let expectedLoss = try #require(exact["loss"] as? Double)
      #expect(abs(try #require(result["loss"] as? Double) - expectedLoss) < 1e-12)

      let found = try parameters(Model<Double>(contentsOf: place.url("m")))
      let layers = try #require(exact["parametersAfter"] as? [[String: Any]])
      let expected = layers.flatMap { layer in
        [(layer["weights"] as? [[Double]])?.flatMap(\.self) ?? [], layer["bias"] as? [Double] ?? []]
      }
      #expect(found.count == expected.count)
      for (found, expected) in zip(found, expected) {
        #expect(found.count == expected.count)
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-12 })
      }
    }
  }

  @Test func `goes on with a model, whose fixed layers stay and whose table it knows`() throws {
    try place.write(
      "kind,size,price\n"
        + (0..<80).map { "\($0 % 3 == 0 ? "a" : "b"),\($0 * 37 % 100),\($0 * 37 % 100 * 3 + $0 % 3)\n" }
        .joined(),
      to: "things.csv")
    _ = try train("things.csv --target price --epochs 3 --save m --quiet --scalar float64")
    let first = try Model<Double>(contentsOf: place.url("m"))
    let run = try train("things.csv --initial-weights m --epochs 2 --learning-rate 0.01 --save n --json")
    let second = try Model<Double>(contentsOf: place.url("n"))
    #expect(second.layers == first.layers && second.targetScaling == first.targetScaling)
    #expect(second.tableEncoding == first.tableEncoding && second.tableEncoding != nil)
    let (before, after) = (try parameters(first), try parameters(second))
    let dense = first.layers.indices.filter { first.layers[$0].units != nil }
    for layer in dense { #expect(before[2 * layer] != after[2 * layer], "layer \(layer)") }
    let object = try #require(try run.objects.first)
    #expect((object["network"] as? [String: Any])?["scalar"] as? String == "float64")
    #expect((object["validation"] as? [String: Any])?["rows"] as? Int == 16)
    #expect(object["model"] as? String == "n")

    // A batch that cannot move the parameters leaves the model as it is, bit for bit.
    _ = try train(
      "things.csv --initial-weights m --epochs 1 --optimizer sgd --learning-rate 1e-300 --save o --quiet")
    #expect(try parameters(Model<Double>(contentsOf: place.url("o"))) == before)
  }

  @Test func `keeps a layer of pieces`() throws {
    let rows = (0..<700).map { "\($0 % 100),\(Double(($0 % 100) * ($0 % 100)) / 100)\n" }
    try place.write("x,y\n" + rows.joined(), to: "curve.csv")
    _ = try train("curve.csv --epochs 1 --save m --quiet")
    _ = try train("curve.csv --initial-weights m --epochs 1 --save n --quiet")
    let (first, second) = (
      try Model<Float>(contentsOf: place.url("m")), try Model<Float>(contentsOf: place.url("n"))
    )
    #expect(first.layers[1].activation == .hardTanh)
    for layer in 0..<3 {
      #expect(try first.parameters(ofLayer: layer) == second.parameters(ofLayer: layer))
    }
    #expect(try first.parameters(ofLayer: 3) != second.parameters(ofLayer: 3))
  }

  @Test func `prints one object for folds, too`() throws {
    let run = try train("iris --folds 3 --epochs 2 --quiet --json")
    #expect(try run.objects.count == 1)
    let object = try #require(try run.objects.first)
    let folds = try #require(object["folds"] as? [[String: Any]])
    let losses = folds.compactMap { $0["loss"] as? Double }
    #expect(losses.count == 3 && folds.allSatisfy { $0["rows"] as? Int == 50 })
    let mean = try #require((object["mean"] as? [String: Double])?["loss"])
    let deviation = try #require((object["standardDeviation"] as? [String: Double])?["loss"])
    #expect(abs(mean - losses.reduce(0, +) / 3) < 1e-12)
    let squares = losses.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    #expect(abs(deviation - (squares / 2).squareRoot()) < 1e-12)
  }
}
