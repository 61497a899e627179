import Foundation
import TestSupport
import Testing

@testable import Chainrule

/// A result as JSON has it: the type, and an object with a number that JSON lacks.
private struct Case: CustomTestStringConvertible, Sendable {
  let testDescription: String
  /// The object after it is decoded and encoded again, and whether the decoded value equals itself.
  let again: @Sendable () throws -> (json: String, isEqual: Bool)
  let json: String

  init<Result: Codable & Equatable & Sendable>(_ type: Result.Type, _ json: String) {
    testDescription = "\(type)"
    self.json = json
    again = {
      let result = try JSONDecoder().decode(type, from: Data(json.utf8))
      let encoded = try sorted(result)
      return (encoded, try JSONDecoder().decode(type, from: Data(encoded.utf8)) == result)
    }
  }
}

private func sorted(_ value: some Encodable) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  return String(decoding: try encoder.encode(value), as: UTF8.self)
}

@Suite("Results as JSON") struct ResultCodingTests {
  /// The keys are the names of the properties, in order; NaN is left out, or null in an array.
  private static let cases = [
    Case(TrainingStep.self, #"{"learningRate":0.5,"loss":"inf","number":3,"rows":32}"#),
    Case(
      Epoch.self,
      #"{"learningRate":0.5,"loss":"-inf","number":2,"seconds":1.5,"validation":{"loss":"inf","rows":3}}"#),
    Case(Evaluation.self, #"{"accuracy":0.5,"loss":"inf","r2":"-inf","rows":7}"#),
    Case(History.self, #"{"epochs":[{"learningRate":0.5,"number":2,"seconds":1.5}]}"#),
    Case(
      GradientCheck.self,
      #"{"gradient":"inf","index":0,"largestError":0.25,"layer":1,"loss":2,"parameter":"bias","slope":"-inf"}"#
    ),
    Case(
      Minimum.self, #"{"ending":"noProgress","evaluations":5,"gradient":"inf","iterations":4}"#),
    Case(Calibration.Bin.self, #"{"correct":2,"lower":0.5,"rows":3,"sum":1.5,"upper":0.75}"#),
    Case(ClassScores.BestF1.self, #"{"f1":0.5,"threshold":0.25}"#),
    Case(
      ClassScores.self,
      #"{"areProbabilities":false,"areaUnderROCUncertainty":0,"areas":[0.5,null],"#
        + #""averagePrecisionUncertainty":0,"classLabels":["a","b"],"logLoss":"inf","ranks":[1,1],"rows":2,"#
        + #""supports":[2,0]}"#),
    Case(LabelScores.self, #"{"areaUnderROCUncertainty":0.125,"areas":[0.5,null,"inf"]}"#),
    Case(
      EvaluationReport.self,
      #"{"evaluation":{"loss":0.5,"rows":1},"medianAbsoluteError":"inf","#
        + #""medianAbsoluteErrorUncertainty":0,"threshold":0.5}"#),
    Case(
      PermutationImportance.self,
      #"{"groups":[{"drops":[1,null,"-inf"],"features":[0,2],"mean":"-inf","name":"a","upper":0.5}],"#
        + #""metric":"r2","score":"-inf"}"#),
    Case(FeatureGroup.self, #"{"features":[1,2],"name":"a"}"#),
    Case(TableNote.self, #"{"isWarning":true,"text":"a note"}"#),
    Case(
      EncodingReport.self,
      #"{"firstMissingTarget":4,"missingTargets":2,"unknown":[{"column":"a","count":1,"first":"x","line":3}]}"#
    ),
    Case(SkippedRows.self, #"{"count":0}"#),
  ]

  @Test(arguments: cases) private func `come back from it with the names of their properties`(_ one: Case)
    throws
  {
    let (json, isEqual) = try one.again()
    #expect(json == one.json)
    #expect(isEqual, "NaN equals NaN")
  }

  /// A network's report on rows of each task.
  private static func report(_ task: String) throws -> EvaluationReport {
    let x: [[Float]] = [[0, 1], [1, 0], [2, 1], [1, 2], [0, 0], [3, 1]]
    let (data, output): (Dataset<Float>, Dense) =
      switch task {
      case "two classes":
        (try Dataset(features: x, labels: x.map { "\($0[0] > 0)" }), Dense(2, activation: .softmax))
      case "scores": (try Dataset(features: x, labels: x.map { "\($0[0])" }), Dense(4, activation: .tanh))
      case "labels":
        (try Dataset(features: x, targets: x.map { [$0[0] > 0 ? 1 : 0, 1] }), Dense(2, activation: .sigmoid))
      default: (try Dataset(features: x, targets: x), Dense(2))
      }
    return try Network<Float>(inputs: 2, seed: 1) { output }.report(on: data)
  }

  @Test(arguments: ["two classes", "scores", "labels", "regression"])
  func `of a whole evaluation come back with all that they compute`(task: String) throws {
    let report = try Self.report(task)
    let again = try JSONDecoder().decode(EvaluationReport.self, from: Data(sorted(report).utf8))
    #expect(again == report)
    #expect(try sorted(again) == sorted(report))
    for averaging in ClassAveraging.allCases {
      let areas = [again, report].map { $0.classScores?.areaUnderROC(averaging) ?? 0 }
      #expect(areas[0] == areas[1] || areas.allSatisfy(\.isNaN))
    }
    #expect(try again.classScores?.topAccuracy(1) == report.classScores?.topAccuracy(1))
    #expect(again.classScores?.calibration?.expectedError == report.classScores?.calibration?.expectedError)
    #expect(again.labelScores == report.labelScores)
  }

  @Test func `of permuted features come back`() throws {
    let x: [[Float]] = [[0, 1], [1, 0], [2, 1], [1, 2]]
    let model = try Model(Network<Float>(inputs: 2, seed: 1) { Dense(2) })
    let importance = try model.permutationImportance(on: Dataset(features: x, targets: x))
    let again = try JSONDecoder().decode(PermutationImportance.self, from: Data(sorted(importance).utf8))
    #expect(again == importance)
    #expect(again.groups[0].drops.count == 10 && !again.groups[0].lower.isNaN)
  }

  /// Numbers that no evaluation has: no member traps for them.
  @Test func `of a file are safe where they do not fit together`() throws {
    let most = "\(Int.max)"
    let scores = try JSONDecoder().decode(
      ClassScores.self,
      from: Data(
        #"{"areProbabilities":false,"areas":[0.5,0.5,0.5],"classLabels":["a","b","c","d"],"ranks":[MOST,MOST],"rows":2,"supports":[MOST]}"#
          .replacingOccurrences(of: "MOST", with: most).utf8))
    #expect(try scores.topAccuracy(2) > 0)
    #expect(try scores.areaUnderROC(of: 3).isNaN)
    for averaging in ClassAveraging.allCases { _ = scores.areaUnderROC(averaging) }
    let bin = #"{"correct":1,"lower":0,"rows":\#(most),"sum":1,"upper":1}"#
    let calibration = try JSONDecoder().decode(
      Calibration.self, from: Data(#"{"bins":[\#(bin),\#(bin)]}"#.utf8))
    #expect(calibration.expectedError >= 0)
  }

  @Test(arguments: [#"{"rows":1,"loss":"nan"}"#, #"{"rows":1,"loss":"1"}"#, #"{"rows":1,"loss":true}"#])
  func `refuse a figure that is not a number`(json: String) {
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(Evaluation.self, from: Data(json.utf8))
    }
  }
}
