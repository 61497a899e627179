import ChainruleExplain
import ChainruleReference
import RealModule
import TestSupport
import Testing

@Suite struct `The reference trains as PyTorch does` {
  @Test(arguments: try denseGoldenCases())
  func `in float64`(golden: StepFile) throws {
    try expectGolden(golden, as: Double.self, golden.float64Tolerance)
  }

  @Test(arguments: try denseGoldenCases())
  func `in float32`(golden: StepFile) throws {
    try expectGolden(golden, as: Float.self, .float32)
  }

  @Test func `in 64 cases of 68, the others needing what it does not have`() throws {
    let cases = try goldenCases()
    let missing = cases.compactMap { golden in
      (golden.missingFromCatalogue ?? golden.layers.first { $0.type != "dense" }?.type)
        .map { "\(golden.name ?? "") needs \($0)" }
    }
    #expect(
      missing == [
        "batch-norm needs batchNorm",
        "clip-norm needs gradientClipNorm",
        "label-smoothing needs labelSmoothing",
        "layer-norm needs layerNorm",
      ])
    #expect(cases.count == 68)
  }

  @Test func `and the cases hold every activation, loss and optimizer it has`() throws {
    let cases = try denseGoldenCases()
    #expect(
      Set(cases.flatMap { $0.layers.compactMap(\.activation) }) == Set(Activation.allCases.map(\.rawValue)))
    #expect(Set(cases.map(\.loss)) == Set(Loss.allCases.map(\.rawValue)))
    #expect(
      Set(cases.map(\.optimizer.type)) == [
        "sgd", "adagrad", "rmsprop", "adam", "adamw", "adadelta", "adamax", "nadam", "rprop", "lion",
      ])
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
    }
  }
}
