import Chainrule
import ChainruleExplain
import Foundation
import TestSupport
import Testing

/// One value as another of the same JSON.
enum JSONCoding {
  static func decode<T: Decodable>(_: T.Type, from value: some Encodable) throws -> T {
    try JSONDecoder().decode(T.self, from: JSONEncoder().encode(value))
  }
}

@Suite struct `The core trains as PyTorch does` {
  @Test(arguments: Target.all, try goldenCases())
  func `in every golden case, kernel set and precision`(target: Target, golden: StepFile) throws {
    switch target.scalar {
    case .float32: try expectGolden(golden, target, as: Float.self, .float32)
    case .float64: try expectGolden(golden, target, as: Double.self, golden.float64Tolerance)
    }
  }

  @Test func `in as many cases as the catalogue covers`() throws {
    let cases = try goldenCases()
    #expect(cases.count == 68)
    #expect(
      Set(cases.flatMap { $0.layers.compactMap(\.activation) }) == Set(Activation.allCases.map(\.rawValue)))
    #expect(Set(cases.map(\.loss)) == Set(Loss.allCases.map(\.rawValue)))
    #expect(Set(cases.map(\.optimizer.type)) == Set(Optimizer.Kind.allCases.map(\.rawValue)))
  }

  func expectGolden<Scalar: NetworkScalar>(
    _ golden: StepFile, _ target: Target, as _: Scalar.Type, _ tolerance: Tolerance
  ) throws {
    let expect = try #require(golden.expect)
    let network = try Network<Scalar>(golden, kernelSet: target.kernelSet)
    let trainer = try Trainer(
      network, loss: try #require(Loss(rawValue: golden.loss)), optimizer: try Optimizer(golden.optimizer),
      options: TrainerOptions(
        regularization: Regularization(
          labelSmoothing: golden.labelSmoothing ?? 0, gradientClipNorm: golden.gradientClipNorm),
        recordsTrace: true))

    let outputs = try network.predict(golden.batches[0].x.flatMap { $0.map { Scalar($0) } })
    let expected = expect.outputs.flatMap { $0 }
    if !golden.layers.contains(where: { $0.type == "batchNorm" }) {  // which predicts with other statistics
      #expect(mismatch(outputs, expected, tolerance) == nil, "predictions")
    }

    var losses: [Double] = []
    for (step, batch) in golden.batches.enumerated() {
      losses.append(try trainer.step(Dataset(batch)))
      guard step == 0 else { continue }
      #expect(mismatch(try trainer.trace().last!.a, expected, tolerance) == nil, "outputs")
      for (l, trace) in try trainer.trace().enumerated() {
        #expect(
          mismatch(trace.gradient, expect.gradients[l].numbers, tolerance) == nil,
          "gradients of layer \(l + 1)")
      }
    }
    #expect(mismatch(losses, expect.losses, tolerance) == nil, "losses")
    for l in golden.layers.indices {
      #expect(
        mismatch(try network.numbers(ofLayer: l), expect.parametersAfter[l].numbers, tolerance) == nil,
        "layer \(l + 1) after")
      let statistics = try network.statistics(ofLayer: l)
      if statistics.isEmpty { continue }
      #expect(
        mismatch(statistics, expect.parametersAfter[l].statistics, tolerance) == nil,
        "running statistics of layer \(l + 1)")
    }
  }
}

@Suite struct `The core computes the tutorials' exact values` {
  @Test(arguments: Network<Double>.kernelSets, try Tutorial.all())
  func `of the first step`(kernelSet: String, tutorial: Tutorial) throws {
    let stepFile = tutorial.stepFile
    let network = try Network<Double>(stepFile, kernelSet: kernelSet)
    let trainer = try Trainer(
      network, loss: try #require(Loss(rawValue: stepFile.loss)),
      optimizer: try Optimizer(stepFile.optimizer),
      options: TrainerOptions(recordsTrace: true))
    let batch = try Dataset<Double>(stepFile.batches[0])
    let loss = try trainer.step(batch)
    let trace = try trainer.trace()

    for (key, numbers) in tutorial.exact {
      let expected = numbers.values
      let found: [Double]? =
        switch key {
        case "loss": [loss]
        case "z": trace.flatMap(\.z)
        // One tutorial gives the hidden layer only.
        case "a": Array(trace.flatMap(\.a).prefix(expected.count))
        case "delta": trace.flatMap(\.delta)
        case "z_out": trace.last!.z
        case "delta_out": trace.last!.delta
        case "delta_hidden": trace[0].delta
        case "prediction": trace.last!.a
        case "gradients": trace.flatMap(\.gradient)
        case "weights_after_one_step", "parametersAfter": try network.bits
        case "prediction_after_one_step": try network.predict(batch.features)
        default: nil
        }
      #expect(
        mismatch(try #require(found, "unknown key \(key)"), expected, tutorial.tolerance) == nil, "\(key)")
    }
  }

  @Test func `and repeats the first tutorial's step until the prediction meets its target`() throws {
    let stepFile = try Tutorial.all()[0].stepFile
    let network = try Network<Double>(stepFile, kernelSet: "baseline")
    let trainer = try Trainer(
      network, loss: .halfSquaredError, optimizer: try Optimizer(stepFile.optimizer))
    let batch = try Dataset<Double>(stepFile.batches[0])
    var updates = 0
    while abs(try network.predict(batch.features)[0] - 1) >= 1e-6, updates < 100 {
      try trainer.step(batch)
      updates += 1
    }
    #expect(updates == 34)
  }
}
