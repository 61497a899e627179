import Chainrule
import Foundation
import Testing

@testable import ChainruleCLI

@Suite struct `A verification` {
  @Test func `finds the core and the reference in agreement`() throws {
    let report = try Verification(cases: 40, seed: 1).run()
    #expect(report.passes, "\(report)")
    #expect(Verification.limits.indices.allSatisfy { report.error($0) > 0 }, "two programs round differently")
  }

  @Test func `draws the same cases from the same seed, each alone too`() throws {
    let report = try Verification(cases: 5, seed: 7).run()
    let again = try Verification(cases: 5, seed: 7).run()
    #expect(report.description == again.description)
    let worst = try #require(report.worst[0])
    let alone = try Verification(cases: 1, seed: worst.verificationCase.seed).run()
    #expect(alone.error(0) == report.error(0))
    #expect(alone.description.contains("\(worst.verificationCase)"))
  }

  @Test func `draws all of the catalogue`() throws {
    let cases = try (0..<300).map { try Verification.Case(seed: $0) }
    func dense(_ layer: Layer) -> Dense? { if case .dense(let dense) = layer { dense } else { nil } }
    let layers = cases.flatMap(\.layers)
    #expect(Set(layers.map(\.name)) == Set(Layer.names))
    #expect(Set(layers.compactMap(dense).map(\.activation)) == Set(Activation.allCases))
    #expect(Set(layers.filter { $0.name == "activation" }.map(\.activation)) == Set(Activation.allCases))
    #expect(Set(cases.map(\.loss)) == Set(Loss.allCases))
    #expect(Set(cases.map(\.optimizer.kind)) == Set(Optimizer.Kind.allCases))
    #expect(Set(cases.map { $0.layers.compactMap(dense).count }) == [1, 2, 3, 4])
    #expect(cases.count { $0.layers.allSatisfy { $0.name == "dense" } } > 50)
    #expect(Set(layers.compactMap(dense).map(\.bias)) == [true, false])
    #expect(cases.contains { $0.loss == .crossEntropy && $0.regularization.labelSmoothing > 0 })
    #expect(cases.contains { $0.loss == .binaryCrossEntropy && $0.regularization.labelSmoothing > 0 })
    #expect(Set(cases.map { $0.regularization.gradientClipNorm == nil }) == [true, false])
    #expect(Set(cases.map { $0.regularization.gradientClipValue == nil }) == [true, false])
    #expect(Set(cases.map { $0.batches[0].sampleWeights == nil }) == [true, false])
    #expect(Set(cases.map { $0.regularization.maxNorm == nil }) == [true, false])
    #expect(Set(cases.map(\.accumulating)) == [1, 2, 3, 4])
    // Noise behind a scaling, and a normalisation that is frozen, are cases of their own.
    func isScaled(_ one: Verification.Case) -> Bool { one.layers[0].name == "scaling" }
    #expect(Set(cases.filter { $0.regularization.inputNoise > 0 }.map(isScaled)) == [true, false])
    let frozen = cases.flatMap { one in
      one.layerRates.filter { $0.value == 0 }.map { one.layers[$0.key].name }
    }
    #expect(Set(frozen).isSuperset(of: ["dense", "batchNorm", "layerNorm"]))
    #expect(cases.contains { $0.layerRates.contains { $0.value > 1 } && $0.optimizer.kind == .rprop })
    #expect(Set(cases.flatMap { $0.batches.map(\.x.count) }) == Set(1...17))
    let scaled = cases.filter { $0.layers.last!.name == "scaling" }
    #expect(scaled.count > 20 && scaled.allSatisfy { $0.loss != .hinge })
    #expect(cases.contains { $0.loss == .hinge && $0.batches[0].y.joined().contains(0) })
  }

  /// A weight that is off by 1e-9 of its scale is a thousand times the limit of one step.
  @Test(arguments: 0..<10 as Range<UInt64>)
  func `notices a reference that starts from another weight`(seed: UInt64) throws {
    let verificationCase = try Verification.Case(seed: seed)
    let honest = try verificationCase.compare()
    let dense = try #require(verificationCase.parameters.firstIndex { !$0.weights.isEmpty })
    let planted = try verificationCase.compare { $0.layers[dense].weights[0][0] += 1e-9 }

    var report = Verification.Report(cases: 1, seed: seed)
    report.take(honest, of: verificationCase)
    #expect(report.passes)
    report.take(planted, of: verificationCase)
    #expect(!report.passes)
    #expect(report.description.contains("DISAGREES"))
    #expect(report.description.contains("--cases 1 --seed \(seed)"))
  }

  @Test(arguments: ["activation", "loss", "layer"]) func `refuses what the reference lacks`(kind: String)
    throws
  {
    enum Known: String { case one }
    #expect(try referenceValue(kind, named: "one") == Known.one)
    let failure = #expect(throws: Failure.self) { try referenceValue(kind, named: "two") as Known }
    let message = try #require(failure).message
    #expect(message.hasPrefix("the reference has no \(kind) named \"two\""))
  }

  @Test func `fails where a number is none`() throws {
    let verificationCase = try Verification.Case(seed: 1)
    var report = Verification.Report(cases: 2, seed: 1)
    let dense = try #require(verificationCase.parameters.firstIndex { !$0.weights.isEmpty })
    report.take(try verificationCase.compare { $0.layers[dense].weights[0][0] = .nan }, of: verificationCase)
    report.take(try verificationCase.compare(), of: verificationCase)
    #expect(!report.passes)
  }
}
