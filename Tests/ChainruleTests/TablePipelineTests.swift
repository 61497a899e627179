import Foundation
import Testing

@testable import Chainrule

@Suite("A pipeline of a table")
struct TablePipelineTests {
  /// Prices that depend on an area, a heating and whether the year is known.
  private static func houses(_ rows: Int, seed: UInt64) -> String {
    var generator = SplitMix64(seed: seed)
    var text = "id,area,heating,year,price\n"
    for row in 0..<rows {
      let area = 40 + Double(generator.next(below: 1600)) / 10
      let heating = ["gas", "electric", "heat pump"][Int(generator.next(below: 3))]
      let year = generator.next(below: 5) == 0 ? "NA" : "\(1950 + generator.next(below: 70))"
      let base = 100_000 + 2500 * area + (heating == "heat pump" ? 60_000 : 0) - (year == "NA" ? 40_000 : 0)
      text += "\(row),\(area),\(heating),\(year),\(row % 50 == 7 ? "" : "\(base)")\n"
    }
    return text
  }

  private func table(_ text: String, _ options: CSVOptions) throws -> CSVTable {
    try CSVTable(bytes: Array(text.utf8), options: options)
  }

  @Test func `takes a table with text and gaps, predicts its unit, and is one value in one file`()
    async throws
  {
    var options = CSVOptions.anyTable(target: ["price"])
    options.ignored = ["id"]
    let known = try table(Self.houses(600, seed: 1), options)
    let houses = try await TablePipeline<Float>.fitting(known, seed: 3)
    let new = try table(Self.houses(200, seed: 2), CSVOptions())
    #expect(try houses.report(on: new).evaluation.r2 > 0.95)
    #expect(houses.model.targetScaling != nil)
    #expect(houses.notes.contains { $0.text.contains("heating") })
    #expect(houses.epochs.last?.validation != nil)

    let expected = try houses.predict(new)
    #expect(try houses.labels(of: new) == nil)
    #expect(try await TablePipeline<Float>.fitting(known, seed: 3, threads: 2).predict(new) == expected)
    let decoded = try JSONDecoder().decode(
      TablePipeline<Float>.self, from: JSONEncoder().encode(houses))
    #expect(try decoded.predict(new) == expected)
    #expect(decoded.encoding == houses.encoding)
    // A table without targets, its columns in another order.
    let few = try table("heating,year,area\ngas,1990,75\nwood,,120\n", CSVOptions())
    #expect(try decoded.predict(few) == houses.predict(few))
    #expect(try decoded.predict(few).allSatisfy { 50_000...700_000 ~= $0 })
  }

  @Test func `is what its steps make one by one`() async throws {
    let table = try table(Self.houses(200, seed: 4), .anyTable(target: ["price"]))
    let whole = try await TablePipeline<Float>.fitting(table, seed: 5)

    let all = try EncodedTable<Float>(fitting: table)
    #expect((all.rows.rows, all.report.missingTargets) == (196, 4))
    let houses = try all.refitted(to: all.rows.splitRows(holdingOut: 0.2, seed: 5).train)
    let (train, test) = try houses.rows.split(holdingOut: 0.2, seed: 5)
    let recipe = TrainingRecipe.recommended(forRows: train.rows)
    let design = try recipe.design(
      for: train, output: .identity, areNumbers: houses.encoding.features.areNumbers)
    let network = try design.network(like: train, seed: 5)
    let trainer = try Trainer(
      network, loss: design.loss, optimizer: recipe.optimizer,
      options: TrainerOptions(layerRates: design.layerRates, seed: 5))
    let epochs = trainer.epochs(
      recipe.epochs, on: train, batchSize: recipe.batchSize, validating: test, patience: recipe.patience)
    for try await epoch in epochs { _ = epoch }
    let model = try Model(network)
    #expect(houses.encoding == whole.encoding && model.layers == whole.model.layers)
    for layer in model.layers.indices {
      #expect(try model.parameters(ofLayer: layer) == whole.model.parameters(ofLayer: layer))
    }
    // Targets of another kind stay as they are.
    for (output, loss, areClasses) in [
      (.sigmoid, nil, false), (.identity, Loss.hinge, false), (.identity, nil, true),
      (.identity, Loss.poisson, false),
    ] as [(Activation, Loss?, Bool)] {
      #expect(
        try recipe.design(for: train, output: output, loss: loss, areClasses: areClasses).targetScaling == nil
      )
    }
  }

  @Test func `classes are predicted by their text`() async throws {
    var text = "x,code\n"
    for row in 0..<90 { text += "\(row % 3).5,\(["01", "1", "A"][row % 3])\n" }
    let known = try table(text, .anyTable())
    let codes = try await TablePipeline<Double>.fitting(known)
    #expect(codes.model.classLabels?.sorted() == ["01", "1", "A"])
    #expect(try codes.labels(of: table("x\n0.5\n1.5\n2.5\n", CSVOptions(header: .yes))) == ["01", "1", "A"])
  }

  @Test func `a model of no table is refused`() throws {
    let model = try Model(Network<Float>(inputs: 1, layers: [.dense(Dense(1))]))
    #expect(throws: ChainruleError.self) { try TablePipeline(model) }
    let empty = try table("a,y\n1,\n2,NA\n", .anyTable())
    #expect(throws: ChainruleError.self) {
      try empty.withoutMissingTargets().numbers(inColumns: [7]) as [Float]
    }
  }
}
