import Chainrule
import ChainruleExplain
import Foundation
import TestSupport
import Testing

/// What `chainrule explain --format json` prints, read back.
private struct Printed: Decodable {
  var outputs: [[Double]]
  var gradients: [StepFile.Parameters]
  var losses: [Double]
  var parametersAfter: [StepFile.Parameters]
  var trace: [[Layer]]

  struct Layer: Decodable {
    var z, a, delta: [[Double]]
  }

  init(_ stepFile: StepFile) throws {
    let json = try JSONEncoder().encode(try Explanation(stepFile))
    self = try JSONDecoder().decode(Printed.self, from: json)
  }
}

private func flat(_ matrices: [[[Double]]]) -> [Double] { matrices.flatMap { $0.flatMap(\.self) } }

@Suite struct `An explanation in JSON` {
  @Test(arguments: try goldenCases())
  func `agrees with the golden case`(golden: StepFile) throws {
    try expectAgreement(golden, golden.float64Tolerance)
  }

  @Test(arguments: try goldenCases())
  func `agrees with the golden case in float32, and prints floats`(golden: StepFile) throws {
    var golden = golden
    golden.scalar = "float32"
    let printed = try expectAgreement(golden, .float32)
    let numbers = printed.outputs.flatMap(\.self) + printed.parametersAfter.flatMap(\.numbers)
    #expect(numbers.allSatisfy { Double(Float($0)) == $0 })
  }

  @discardableResult
  private func expectAgreement(_ golden: StepFile, _ tolerance: Tolerance) throws -> Printed {
    let printed = try Printed(golden)
    let expect = try #require(golden.expect)
    #expect(mismatch(printed.outputs.flatMap(\.self), expect.outputs.flatMap(\.self), tolerance) == nil)
    #expect(mismatch(printed.losses, expect.losses, tolerance) == nil)
    let layers = golden.layers.count
    try #require(printed.gradients.count == layers && printed.parametersAfter.count == layers)
    for l in 0..<layers {
      #expect(mismatch(printed.gradients[l].numbers, expect.gradients[l].numbers, tolerance) == nil)
      let (after, expectedAfter) = (printed.parametersAfter[l].numbers, expect.parametersAfter[l].numbers)
      #expect(mismatch(after, expectedAfter, tolerance) == nil)
      let statistics = printed.parametersAfter[l].statistics
      #expect(statistics.isEmpty == (golden.layers[l].type != "batchNorm"))
      if statistics.isEmpty { continue }
      #expect(mismatch(statistics, expect.parametersAfter[l].statistics, tolerance) == nil)
    }
    return printed
  }

  @Test(arguments: try Tutorial.all())
  func `has the exact values of the tutorial`(tutorial: Tutorial) throws {
    let printed = try Printed(tutorial.stepFile)
    let first = printed.trace[0]
    var oneStep = tutorial.stepFile
    oneStep.batches = [oneStep.batches[0]]
    let afterOneStep = try Printed(oneStep).parametersAfter.flatMap(\.numbers)

    for (key, numbers) in tutorial.exact {
      let expected = numbers.values
      let found: [Double]? =
        switch key {
        case "loss": [printed.losses[0]]
        case "z": flat(first.map(\.z))
        case "a": Array(flat(first.map(\.a)).prefix(expected.count))  // one gives the hidden layer only
        case "delta": flat(first.map(\.delta))
        case "z_out": flat([first.last!.z])
        case "delta_out": flat([first.last!.delta])
        case "delta_hidden": flat([first[0].delta])
        case "prediction": printed.outputs.flatMap(\.self)
        case "gradients": printed.gradients.flatMap(\.numbers)
        case "weights_after_one_step", "parametersAfter": afterOneStep
        case "prediction_after_one_step": flat([printed.trace[1].last!.a])
        default: nil
        }
      #expect(mismatch(try #require(found, "\(key)"), expected, tutorial.tolerance) == nil, "\(key)")
    }
  }

  @Test func `reads back as the same numbers`() throws {
    let golden = try #require(try goldenCases().first { $0.name == "four-layer" })
    let printed = try Printed(golden)
    let explanation = try Explanation(golden)
    #expect(printed.outputs == explanation.results.outputs)
    #expect(printed.gradients == explanation.results.gradients)
    #expect(printed.losses == explanation.results.losses)
    #expect(printed.parametersAfter == explanation.results.parametersAfter)
    #expect(printed.trace.map { $0.map(\.delta) } == explanation.batches.map { $0.layers.map(\.delta) })
  }

  @Test(arguments: ["sigmoid-mse-batch1", "sigmoid-mse-multioutput"])
  func `has the keys of a golden case, and trace`(name: String) throws {
    let golden = try #require(try goldenCases().first { $0.name == name })
    let json = try JSONEncoder().encode(Explanation(golden))
    let printed = try #require(JSONSerialization.jsonObject(with: json) as? [String: Any])
    #expect(Set(printed.keys) == ["name", "outputs", "gradients", "losses", "parametersAfter", "trace"])
    let keys: Set = name == "sigmoid-mse-batch1" ? ["weights"] : ["weights", "bias"]
    for key in ["gradients", "parametersAfter"] {
      let layers = try #require(printed[key] as? [[String: Any]])
      #expect(layers.count == 2 && layers.allSatisfy { Set($0.keys) == keys })
    }
  }

  @Test func `traces every row of every batch`() throws {
    let golden = try #require(try goldenCases().first { $0.name == "odd-sizes" })
    let printed = try Printed(golden)
    #expect(printed.trace.count == golden.batches.count)
    for (layers, batch) in zip(printed.trace, golden.batches) {
      #expect(layers.map { $0.z[0].count } == [17, 65, 10])
      for layer in layers {
        #expect([layer.z.count, layer.a.count, layer.delta.count] == [19, 19, 19] && batch.x.count == 19)
      }
    }
  }
}

@Suite struct `An explanation refuses` {
  @Test func `names that do not exist, with the one that is meant, or those that do`() throws {
    let golden = try #require(try goldenCases().first { $0.name == "four-layer" })
    func expectRefusal(_ message: String, _ change: (inout StepFile) -> Void) {
      var stepFile = golden
      change(&stepFile)
      let error = #expect(throws: StepFileError.self) { try Explanation(stepFile) }
      #expect(error?.description == message)
    }
    expectRefusal("loss: unknown name mse; did you mean meanSquaredError?") { $0.loss = "mse" }
    expectRefusal("layer 2, activation: unknown name swish; did you mean silu?") {
      $0.layers[1].activation = "swish"
    }
    expectRefusal("optimizer, type: unknown name Adm; did you mean adam?") {
      $0.optimizer.type = "Adm"
    }
    expectRefusal(
      "loss: unknown name lasso; expected halfSquaredError, meanSquaredError, meanAbsoluteError, huber, "
        + "logCosh, binaryCrossEntropy, crossEntropy, poisson or hinge"
    ) { $0.loss = "lasso" }
    expectRefusal(
      "layer 2, activation: unknown name maxout; expected "
        + Activation.allCases.dropLast().map(\.rawValue).joined(separator: ", ") + " or softmax"
    ) { $0.layers[1].activation = "maxout" }
    expectRefusal(
      "optimizer, type: unknown name shampoo; expected sgd, adagrad, rmsprop, adam, adamw, adadelta, "
        + "adamax, nadam, rprop or lion"
    ) { $0.optimizer.type = "shampoo" }
    expectRefusal(
      "optimizer: beta1 is not a hyper-parameter of sgd; adam, adamw, adamax, nadam and lion have it"
    ) { $0.optimizer[.beta1] = 0.9 }
    expectRefusal("expect, losses: expected 5 numbers, found 4") { $0.expect?.losses.removeLast() }
  }

  @Test func `but takes a switch that is off`() throws {
    var golden = try #require(try goldenCases().first { $0.name == "optimizer-adam" })
    golden.optimizer[.amsgrad] = 0
    #expect(throws: Never.self) { try Explanation(golden) }
  }
}

@Suite struct `A file` {
  @Test func `may hold several step files`() throws {
    let json = try Data(contentsOf: fixtures.appending(path: "goldens/tutorials.json"))
    #expect(
      try StepFile.all(json: json).map(\.name) == [
        "two-two-one-linear", "two-two-one-sigmoid", "two-two-two-biases", "four-two-two-one",
      ])
  }

  @Test func `may hold one`() throws {
    let json = try Data(contentsOf: fixtures.appending(path: "goldens/cases/four-layer.json"))
    #expect(try StepFile.all(json: json).map(\.name) == ["four-layer"])
  }

  @Test(arguments: ["", "{", "[1]", #"{"examples": [{"inputs": 1}]}"#])
  func `that holds none is refused`(json: String) {
    #expect(throws: StepFileError.self) { try StepFile.all(json: Data(json.utf8)) }
  }
}

@Suite struct `An agreement` {
  @Test func `measures errors against the largest number of the array`() {
    var agreement = Agreement()
    agreement.compare([10, 1], with: [10, 1], "first")
    #expect(agreement.worstError == 0 && agreement.place == nil)
    agreement.compare([10, 1.5], with: [10, 1], "second")
    #expect(agreement.worstError == 0.05 && agreement.place == "second")
    agreement.compare([10.1, 1], with: [10, 1], "third")
    #expect(agreement.place == "second")
  }

  @Test func `is lost to a number that is none`() {
    var agreement = Agreement()
    agreement.compare([.nan], with: [1], "first")
    agreement.compare([2], with: [1], "second")
    #expect(agreement.worstError.isNaN && agreement.place == "first")
  }

  @Test func `is infinitely bad where 0 is expected and not found`() {
    var agreement = Agreement()
    agreement.compare([0], with: [0], "first")
    #expect(agreement.worstError == 0)
    agreement.compare([1], with: [0], "second")
    #expect(agreement.worstError == .infinity)
  }
}
