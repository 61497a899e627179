import ChainruleExplain
import ChainruleReference
import TestSupport
import Testing

@Suite struct `The reference computes the tutorials' exact values` {
  @Test(arguments: try Tutorial.all())
  func `of the first step`(tutorial: Tutorial) throws {
    var trainer = try Trainer<Double>(tutorial.stepFile)
    let batch = tutorial.stepFile.batches[0]
    let step = trainer.step(batch)

    for (key, numbers) in tutorial.exact {
      let expected = numbers.values
      let found: [Double]? =
        switch key {
        case "loss": [step.loss]
        case "z": flat(step.z)
        case "a": Array(flat(step.a).prefix(expected.count))  // one tutorial gives the hidden layer only
        case "delta": flat(step.delta)
        case "z_out": flat([step.z.last!])
        case "delta_out": flat([step.delta.last!])
        case "delta_hidden": flat([step.delta[0]])
        case "prediction": flat([step.a.last!])
        case "gradients": step.gradients.flatMap(\.numbers)
        case "weights_after_one_step", "parametersAfter": trainer.network.layers.flatMap(\.numbers)
        case "prediction_after_one_step": flat([trainer.network.forward(batch.x).outputs])
        default: nil
        }
      expectClose(try #require(found, "unknown key \(key)"), expected, tutorial.tolerance, key)
    }
  }

  @Test func `of all four`() throws {
    let tutorials = try Tutorial.all()
    #expect(
      tutorials.map { "\($0.stepFile.name ?? ""): \($0.exact.count)" } == [
        "two-two-one-linear: 4", "two-two-one-sigmoid: 8", "two-two-two-biases: 6", "four-two-two-one: 6",
      ])
  }

  private func flat(_ numbers: [[[Double]]]) -> [Double] {
    numbers.flatMap { $0.flatMap { $0 } }
  }
}
