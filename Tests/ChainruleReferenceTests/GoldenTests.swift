import ChainruleExplain
import ChainruleReference
import RealModule
import TestSupport
import Testing

@Suite struct `The reference trains as PyTorch does` {
  @Test(arguments: try goldenCases())
  func `in float64`(golden: StepFile) throws {
    try expectGolden(golden, as: Double.self, golden.float64Tolerance)
  }

  @Test(arguments: try goldenCases())
  func `in float32`(golden: StepFile) throws {
    try expectGolden(golden, as: Float.self, .float32)
  }

  @Test func `in all 68 cases`() throws {
    #expect(try goldenCases().count == 68)
  }

  @Test func `and the cases hold every activation, loss and optimizer it has`() throws {
    let cases = try goldenCases()
    #expect(
      Set(cases.flatMap { $0.layers.compactMap(\.activation) }) == Set(Activation.allCases.map(\.rawValue)))
    #expect(Set(cases.map(\.loss)) == Set(Loss.allCases.map(\.rawValue)))
    #expect(
      Set(cases.map(\.optimizer.type)) == [
        "sgd", "adagrad", "rmsprop", "adam", "adamw", "adadelta", "adamax", "nadam", "rprop", "lion",
      ])
    #expect(Set(cases.flatMap { $0.layers.map(\.type) }) == ["dense", "batchNorm", "layerNorm"])
    #expect(cases.filter { $0.labelSmoothing != nil }.count == 1)
    #expect(cases.filter { $0.gradientClipNorm != nil }.count == 1)
    #expect(cases.filter { $0.batches[0].sampleWeights != nil }.count == Loss.allCases.count)
  }

  func expectGolden<Scalar: Real & BinaryFloatingPoint>(
    _ golden: StepFile, as _: Scalar.Type, _ tolerance: Tolerance
  ) throws {
    let expect = try #require(golden.expect)
    var trainer = try Trainer<Scalar>(golden)
    let steps = golden.batches.map { trainer.step($0) }
    let after = trainer.network

    expectClose(steps.map(\.loss), expect.losses, tolerance, "losses")
    expectClose(steps[0].a.last!.flatMap { $0 }, expect.outputs.flatMap { $0 }, tolerance, "outputs")
    for l in golden.layers.indices {
      expectClose(
        steps[0].gradients[l].numbers, expect.gradients[l].numbers, tolerance, "gradients of layer \(l + 1)")
      expectClose(
        after.layers[l].numbers, expect.parametersAfter[l].numbers, tolerance, "layer \(l + 1) after")
      if after.layers[l].statistics.isEmpty { continue }
      expectClose(
        after.layers[l].statistics, expect.parametersAfter[l].statistics, tolerance,
        "running statistics of layer \(l + 1)")
    }
  }
}
