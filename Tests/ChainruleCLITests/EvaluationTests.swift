import Foundation
import Testing

@Suite("chainrule evaluate: the figures")
struct EvaluationTests {
  private let place: Workplace

  init() throws { place = try Workplace() }

  /// Trains a model on `data`, one epoch by default, and leaves it in "m".
  private func train(_ data: String, _ options: String...) throws {
    try place.write(data, to: "data.csv")
    let arguments = ["train", "data.csv", "--epochs", "1", "--hidden", "4", "--save", "m", "--quiet"]
    let run = try place.chainrule(arguments + options)
    try #require(run.status == 0, "\(run.errors)")
  }

  private func evaluate(_ options: String...) throws -> [String: Any] {
    try #require(place.chainrule(["evaluate", "m", "data.csv", "--json"] + options).objects.first)
  }

  private func table(_ rows: Int, _ row: (Int) -> String) -> String {
    "a,b,kind\n" + (0..<rows).map { row($0) + "\n" }.joined()
  }

  /// Two classes that overlap.
  private var two: String {
    table(60) { "\($0 * 7 % 20),\($0 % 3),\($0 * 7 % 20 + $0 % 5 > 11 ? "yes" : "no")" }
  }

  // MARK: The loss

  /// The square of the root of the mean squared error, where that is the loss.
  @Test(arguments: [
    ["--loss", "meanSquaredError", "--output-activation", "sigmoid"],
    ["--loss", "meanAbsoluteError", "--output-activation", "sigmoid"],
    ["--loss", "huber"], ["--loss", "halfSquaredError", "--no-scale-targets"],
    ["--loss", "poisson", "--output-activation", "softplus"],
    ["--loss", "binaryCrossEntropy", "--output-activation", "sigmoid"], ["--no-scale-targets"],
  ])
  func `the loss is that of the training`(options: [String]) throws {
    let rows = (0..<40).map { "\($0 % 7),\($0 % 4),0.\($0 * 37 % 90 + 5)\n" }
    try place.write("a,b,y\n" + rows.joined(), to: "data.csv")
    let arguments = [
      "train", "data.csv", "--epochs", "1", "--hidden", "4", "--validation", "0", "--save", "m", "--quiet",
    ]
    try #require(place.chainrule(arguments + options).status == 0)
    let found = try evaluate(), text = try place.chainrule("evaluate", "m", "data.csv").output
    let loss = options.count == 1 ? "meanSquaredError" : options[1]
    #expect(text.contains(", \(loss) "), "\(text)")
    let value = try #require(found["loss"] as? Double)
    let squared = pow(try #require(found["rootMeanSquaredError"] as? Double), 2)
    switch loss {
    case "meanSquaredError": #expect(abs(value / squared - 1) < 1e-5)
    case "halfSquaredError": #expect(abs(value / squared - 0.5) < 1e-5)
    case "meanAbsoluteError":
      #expect(abs(value / (try #require(found["meanAbsoluteError"] as? Double)) - 1) < 1e-5)
    default: #expect(abs(value / squared - 1) > 1e-3)
    }
  }

  // MARK: Two classes

  @Test func `two classes have curves, calibration and a threshold`() throws {
    try train(two, "--epochs", "20")
    let found = try evaluate()
    #expect(
      Set(found.keys) == [
        "rows", "loss", "accuracy", "balancedAccuracy", "macroF1", "areaUnderROC", "averagePrecision",
        "logLoss", "brierScore", "threshold", "bestF1", "expectedCalibrationError", "calibration",
        "perClass", "classes", "confusionMatrix",
      ])
    #expect(found["threshold"] as? Double == 0.5)
    let bins = try #require(found["calibration"] as? [[String: Any]])
    #expect(bins.count == 15)
    #expect(bins.compactMap { $0["rows"] as? Int }.reduce(0, +) == 60)
    let each = try #require(found["perClass"] as? [[String: Any]])
    #expect(each.map { $0["class"] as? String } == ["no", "yes"])
    #expect(each.compactMap { $0["support"] as? Int }.reduce(0, +) == 60)
    let loss = try #require(found["loss"] as? Double)
    #expect(abs(try #require(found["logLoss"] as? Double) - loss) < 1e-5)

    let text = try place.chainrule("evaluate", "m", "data.csv").output
    for figure in [
      "ROC AUC ", "average precision ", "log loss ", "Brier score ", "(ECE) ", "threshold 0.5; ",
    ] {
      #expect(text.contains(figure), "\(figure)")
    }
    #expect(text.contains("precision  "))
  }

  @Test func `the threshold that is printed gives the F1 that is printed`() throws {
    try train(two, "--epochs", "20")
    let best = try #require(try evaluate()["bestF1"] as? [String: Double])
    let (threshold, f1) = (try #require(best["threshold"]), try #require(best["f1"]))
    let found = try evaluate("--threshold", "\(threshold)")
    #expect(found["threshold"] as? Double == threshold)
    let yes = try #require((found["perClass"] as? [[String: Any]])?.last)
    #expect(yes["f1"] as? Double == f1)
    let text = try place.chainrule("evaluate", "m", "data.csv", "--threshold", "0").output
    #expect(text.contains("threshold 0.0; the best F1 of \"yes\" is "))
    #expect(text.contains("at --threshold \(threshold)\n"))
    let all = try #require(try evaluate("--threshold", "0")["confusionMatrix"] as? [[Int]])
    #expect(all.map(\.first) == [0, 0])
  }

  @Test func `one sigmoid output is two classes, one identity output a regression`() throws {
    let data = table(20) { "\($0),\($0 % 3),\($0 % 2)" }
    try place.write(data.replacing("kind", with: "y"), to: "data.csv")
    for (activation, loss, key) in [
      ("sigmoid", "binaryCrossEntropy", "brierScore"), ("identity", "meanSquaredError", "r2"),
    ] {
      try place.chainrule(
        "train", "data.csv", "--task", "regression", "--output-activation", activation, "--loss", loss,
        "--epochs", "1", "--save", "m", "--quiet")
      let found = try evaluate("--target", "y")
      #expect(found[key] != nil, "\(activation)")
      #expect((found["accuracy"] != nil) == (activation == "sigmoid"), "\(activation)")
    }
  }

  @Test func `outputs that are no probabilities have an area, and no log loss or threshold`() throws {
    try train(two, "--output-activation", "tanh", "--loss", "meanSquaredError")
    let found = try evaluate()
    for key in ["areaUnderROC", "averagePrecision", "accuracy"] { #expect(found[key] != nil, "\(key)") }
    for key in ["logLoss", "brierScore", "threshold", "bestF1", "calibration", "expectedCalibrationError"] {
      #expect(found[key] == nil, "\(key)")
    }
    let refused = try place.chainrule("evaluate", "m", "data.csv", "--threshold", "0.3")
    #expect(refused.status == 64)
    #expect(refused.errors.contains("--threshold: threshold is 0.3 for two classes without probabilities"))
  }

  @Test(arguments: [
    ("--threshold 1.5", "--threshold is 1.5; expected a probability, 0 to 1"),
    ("--threshold nan", "--threshold is nan; expected a probability, 0 to 1"),
    ("--importance --repeats 1", "--repeats is 1; expected at least 2"),
    ("--repeats 5", "--repeats needs --importance"),
    ("--seed 5", "--seed needs --importance"),
  ])
  func `options out of range or without effect are refused`(options: String, message: String) throws {
    let run = try place.chainrule(
      ["evaluate", "m", "data.csv"] + options.split(separator: " ").map(String.init))
    #expect(run.status == 64)
    #expect(run.errors.contains(message))
  }

  // MARK: Several labels

  @Test func `several sigmoid outputs are labels with the names of their columns`() throws {
    let data =
      "a,b,red,green\n" + (0..<30).map { "\($0 % 7),\($0 % 4),\($0 % 2),\($0 % 7 > 3 ? 1 : 0)\n" }.joined()
    try train(
      data, "--target", "red", "--target", "green", "--output-activation", "sigmoid", "--loss",
      "binaryCrossEntropy")
    let found = try evaluate()
    #expect(
      Set(found.keys) == [
        "rows", "loss", "subsetAccuracy", "hammingLoss", "microF1", "macroF1", "samplesF1", "areaUnderROC",
        "threshold", "perLabel",
      ])
    let each = try #require(found["perLabel"] as? [[String: Any]])
    #expect(each.map { $0["label"] as? String } == ["red", "green"])
    #expect(each.map { $0["support"] as? Int } == [15, 12])
    #expect(each.allSatisfy { $0["areaUnderROC"] is Double })
    let text = try place.chainrule("evaluate", "m", "data.csv").output
    #expect(text.hasPrefix("subset accuracy "))
    #expect(text.contains("\ngreen  "))
    // With a threshold of 0 every row has every label.
    let all = try evaluate("--threshold", "0")
    #expect(abs(try #require(all["hammingLoss"] as? Double) - 33.0 / 60) < 1e-12)
  }

  // MARK: Tables on a terminal

  @Test func `of more than 20 classes the most confused pairs are printed`() throws {
    try train(table(42) { "\($0 % 21),1,class \($0 % 21)" })
    let text = try place.chainrule("evaluate", "m", "data.csv").output
    #expect(text.contains("\n21 classes; the "))
    #expect(
      text.contains("most confused pairs (\"chainrule evaluate --json\" prints the whole confusion matrix):"))
    #expect(text.contains("precision, recall and F1 of each of the 21 classes: --json"))
    #expect(!text.contains("actual \\"))
    let lines = text.split(separator: "\n")
    let pairs = try #require(lines.firstIndex { $0.hasPrefix("actual ") })
    let counts = lines[(pairs + 1)...].compactMap { Int($0.split(separator: " ").last ?? "") }
    #expect(counts.count <= 20 && !counts.isEmpty)
    #expect(counts == counts.sorted(by: >))
    let matrix = try #require(try evaluate()["confusionMatrix"] as? [[Int]])
    #expect(matrix.count == 21 && matrix.allSatisfy { $0.count == 21 })
    #expect(matrix.joined().reduce(0, +) == 42)
  }

  @Test(arguments: [2, 5, 12, 20], ["a long name of a class which ends in ", "a long name, then "])
  func `long names are abbreviated to 80 columns and stay apart`(classes: Int, beginning: String) throws {
    let end = beginning.hasSuffix("in ") ? "" : " in the middle, and the end is the same"
    let name = { "\"\(beginning)\($0 % classes + 100)\(end)\"" }
    try train(table(classes * 3) { "\($0 % classes),1,\(name($0))" })
    for command in [["evaluate", "m", "data.csv"], ["train", "data.csv", "--epochs", "1", "--quiet"]] {
      let lines = try place.chainrule(command).output.split(separator: "\n")
      let matrix = lines[try #require(lines.firstIndex { $0.hasPrefix("actual") })...]
      #expect(matrix.count == classes + 1)
      for line in matrix { #expect(line.unicodeScalars.count <= 80, "\(line)") }
      // The class of a row: up to the counts, which are numbers, and the recall, "–" or a percentage.
      let starts = matrix.dropFirst().map { line in
        line.split(separator: " ").dropLast(classes + (line.hasSuffix("–") ? 1 : 2)).joined(separator: " ")
      }
      #expect(Set(starts).count == classes)
    }
  }

  @Test func `names cannot reach the terminal's controls`() throws {
    try train(table(40) { "\($0 % 2),1,\(["e\u{1B}[31m", "r\u{202E}\u{85}"][$0 % 2])" })
    for command in [["evaluate", "m", "data.csv"], ["train", "data.csv", "--epochs", "1", "--quiet"]] {
      let text = try place.chainrule(command).output
      for scalar in ["\u{1B}", "\u{202E}", "\u{85}"] as [Unicode.Scalar] {
        #expect(!text.unicodeScalars.contains(scalar))
      }
      #expect(text.contains(#"e\u{1B}[31m"#))
      #expect(text.contains(#"r\u{202E}\u{85}"#))
    }
  }

  // MARK: Importance

  @Test func `importance is by column, sorted, and the same for the same seed`() throws {
    let data = table(60) { "\($0 % 3),\(["x", "y", "z"][$0 % 3]),\($0 % 3 == 1 ? "yes" : "no")" }
    try train(data, "--categorical", "b", "--epochs", "40", "--learning-rate", "0.05")
    let found = try #require(try evaluate("--importance", "--seed", "3")["importance"] as? [String: Any])
    #expect(found["metric"] as? String == "logLoss")
    #expect(found["repeats"] as? Int == 10)
    let columns = try #require(found["columns"] as? [[String: Any]])
    #expect(columns.first?["name"] as? String == "b")
    #expect(columns.map { $0["features"] as? [Int] } == [[2, 3, 4], [1]])
    let means = columns.compactMap { $0["mean"] as? Double }
    #expect(means == means.sorted(by: >))
    for column in columns {
      #expect(try #require(column["lower"] as? Double) <= (column["mean"] as! Double))
      #expect(try #require(column["upper"] as? Double) >= (column["mean"] as! Double))
    }
    let again = try place.chainrule("evaluate", "m", "data.csv", "--importance", "--seed", "3").output
    #expect(try place.chainrule("evaluate", "m", "data.csv", "--importance", "--seed", "3").output == again)
    #expect(
      try place.chainrule("evaluate", "m", "data.csv", "--importance", "--repeats", "2").output != again)
    #expect(again.contains("\npermuted column  rise of the log loss  "))
    #expect(again.contains("\nb    "))
  }
}
