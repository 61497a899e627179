import Chainrule
import Foundation
import Testing

@Suite("chainrule train --stream and --validation-data")
struct StreamTests {
  private let place: Workplace

  init() throws {
    place = try Workplace()
    try place.write(table(0..<120, columns: ["a", "b", "y"]), to: "data.csv")
    try place.write(table(120..<150, columns: ["y", "b", "a"]), to: "held.csv")
    try place.write(table(0..<120, columns: ["a", "b", "kind"]), to: "kinds.csv")
    try place.write(table(122..<126, columns: ["kind", "a", "b"]), to: "few.csv")
    let x = (0..<120).flatMap { [Float($0) / 60, Float($0 % 7)] }
    try place.write(npy("(120, 2)", "<f4", x), to: "x.npy")
    try place.write(npy("(120,)", "<f4", (0..<120).map { Float($0) / 60 - Float($0 % 7) }), to: "y.npy")
    try place.write(npy("(120,)", "|u1", (0..<120).map { UInt8($0 % 3) }), to: "classes.npy")
  }

  /// Rows with a header; y = a - b, and the kind is its sign.
  private func table(_ rows: Range<Int>, columns: [String]) -> String {
    columns.joined(separator: ",") + "\n"
      + rows.map { row in
        let (a, b) = (Double(row) / 60, Double(row % 7))
        let cells = ["a": "\(a)", "b": "\(b)", "y": "\(a - b)", "kind": a > b ? "more" : "less"]
        return columns.map { cells[$0]! }.joined(separator: ",") + "\n"
      }.joined()
  }

  /// A file of format 1.0, of a little-endian machine.
  private func npy<Element>(_ shape: String, _ type: String, _ values: [Element]) -> [UInt8] {
    let header = Array("{'descr': '\(type)', 'fortran_order': False, 'shape': \(shape), }".utf8)
    let padded = header + [UInt8](repeating: 0x20, count: 117 - header.count) + [0x0A]
    return [0x93] + Array("NUMPY".utf8) + [1, 0, 118, 0] + padded + values.withUnsafeBytes(Array.init)
  }

  private func train(_ options: String) throws -> Ended {
    try place.chainrule("train \(options) --quiet".split(separator: " ").map(String.init))
  }

  /// What is printed but the time and whether rows are streamed.
  private func figures(_ run: Ended) -> [String] {
    run.lines.filter { ["network", "held", "trained", "setosa"].contains($0.prefix { $0 != " " }) }
  }

  @Test(arguments: ["", "--standardize", "--preset plain --standardize", "--preset plain"])
  func `streamed in the order of the file, rows train the model of one pass over them in memory`(
    more: String
  ) throws {
    // A batch of all rows has no order.
    let common =
      "data.csv --target y --dropout 0 --epochs 5 --batch-size 120 --scalar float64 --validation-data held.csv "
      + more
    let memory = try train("\(common) --save memory")
    let stream = try train("\(common) --stream --shuffle-buffer 1 --save stream")
    #expect(memory.status == 0 && stream.status == 0)
    #expect(memory.output.contains("120 rows, 2 inputs, 1 output; 30 held out"))
    #expect(stream.output.contains("rows read batch by batch, 2 inputs, 1 output; others held out"))
    #expect(figures(memory) == figures(stream))
    let losses = try ["memory", "stream"].map { model in
      try #require(place.chainrule("evaluate", model, "held.csv", "--json").objects[0]["loss"] as? Double)
    }
    #expect(abs(losses[0] - losses[1]) <= 1e-9 * losses[0])
  }

  @Test func `categories and missing numbers are those of the whole file, in memory and streamed`() throws {
    let rows = (0..<120).map { row in
      "\(["u", "v", "w"][row * 7 % 3]),\(row % 11 == 0 ? "" : "\(row % 5)"),\(row % 4),\(row % 7).5\n"
    }
    try place.write("kind,gaps,size,y\n" + rows.joined(), to: "mixed.csv")
    let common = "mixed.csv --missing mean --categorical size --validation 0 --epochs 1"
    #expect(try train("\(common) --save memory").status == 0)
    let streamed = common.replacing("--validation 0 ", with: "--stream ")
    #expect(try train("\(streamed) --save stream").status == 0)
    let encodings = try ["memory", "stream"].map {
      try #require(Model<Float>(contentsOf: place.url($0)).tableEncoding)
    }
    #expect(encodings[0] == encodings[1])
    #expect(
      encodings[0].features.featureNames == [
        "kind=u", "kind=v", "kind=w", "gaps", "gaps is missing", "size=0", "size=1", "size=2", "size=3",
      ])
  }

  @Test func `the rows of a buffer come in another order, by the seed`() throws {
    let common = "data.csv --target y --stream --epochs 2"
    _ = try train("\(common) --save a")
    _ = try train("\(common) --save b")
    _ = try train("\(common) --shuffle-buffer 1 --save c")
    _ = try train("\(common) --shuffle-buffer 10 --save d")
    #expect(try place.bytes("a") == place.bytes("b"))
    #expect(try place.bytes("a") != place.bytes("c") && place.bytes("c") != place.bytes("d"))
  }

  @Test func `classes are those of the rows trained on, in memory and streamed`() throws {
    #expect(try !place.read("few.csv").contains("more"))
    for option in ["", "--stream"] {
      let run = try train("kinds.csv --epochs 30 --learning-rate 0.05 --validation-data few.csv \(option)")
      #expect(run.status == 0)
      #expect(run.output.contains("2 inputs, 2 classes; "))
      #expect(run.output.contains(" of 4 rows)"))
      #expect(run.output.contains("actual \\ predicted  less  more"))
    }
  }

  @Test func `NumPy files are streamed, their targets as quantities or as classes`() throws {
    let quantities = try train("x.npy --stream --labels y.npy --epochs 3")
    #expect(quantities.output.contains("120 rows read batch by batch, 2 inputs, 1 output; none held out"))
    #expect(quantities.output.contains("trained on  MAE"))
    let classes = try train("x.npy --stream --labels classes.npy --task classification --epochs 3")
    #expect(classes.output.contains("120 rows read batch by batch, 2 inputs, 3 classes; none held out"))
    let validated = try train(
      "x.npy --stream --labels y.npy --epochs 3 --validation-data x.npy --validation-labels y.npy")
    #expect(validated.output.contains("1 output; 120 held out"))
  }

  @Test func `IDX files are streamed`() throws {
    let header: [UInt8] = [0, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 2]
    try place.write(header + (0..<40).flatMap { [UInt8($0 % 2 * 200), UInt8($0)] }, to: "train-images-idx3")
    try place.write([0, 0, 8, 1, 0, 0, 0, 40] + (0..<40).map { UInt8($0 % 2) }, to: "train-labels-idx1")
    let run = try train("train-images-idx3 --stream --epochs 60 --learning-rate 0.05")
    #expect(run.status == 0)
    #expect(run.output.contains("40 rows read batch by batch, 2 inputs, 2 classes"))
    #expect(run.output.contains("(40 of 40 rows)"))
  }

  @Test(arguments: [
    ("data.csv --stream --folds 3", 64, "--folds and --stream cannot be combined"),
    ("data.csv --stream --validation 0.2", 64, "use --validation-data for the validation rows"),
    ("kinds.csv --stream --stratified", 64, "--stratified and --stream cannot be combined"),
    ("kinds.csv --stream --class-weights balanced", 64, "--class-weights and --stream cannot be combined"),
    ("data.csv --stream --full-batch lbfgs", 64, "--full-batch and --stream cannot be combined"),
    ("data.csv --shuffle-buffer 5", 64, "--shuffle-buffer needs --stream"),
    ("data.csv --stream --shuffle-buffer 0", 64, "--shuffle-buffer is 0; expected at least 1"),
    ("iris --stream", 64, "found the bundled set iris"), ("- --stream", 64, "found standard input"),
    ("x.npy --stream", 64, "name the file with the targets with --labels"),
    ("x.npy --stream --labels data.csv", 65, "data.csv"),
    ("data.csv --validation-labels y.npy", 64, "--validation-labels needs --validation-data"),
    ("data.csv --validation-data held.csv --folds 3", 64, "--folds and --validation-data cannot be combined"),
    ("data.csv --validation-data held.csv --validation 0.1", 64, "--validation and --"),
    ("data.csv --validation-data kinds.csv --target y", 65, "there is no column \"y\""),
    ("kinds.csv --validation-data data.csv --target kind", 65, "there is no column \"kind\""),
    ("data.csv --stream --validation-data kinds.csv --target y", 65, "there is no column \"y\""),
    ("data.csv --validation-data nowhere.csv", 1, "nowhere.csv: there is no such file"),
    ("data.csv --stream --validation-data nowhere.csv", 1, "nowhere.csv: there is no such file"),
  ])
  func `what needs all rows, or makes no sense, is refused`(options: String, status: Int32, message: String)
    throws
  {
    let run = try train(options)
    #expect(run.status == status)
    #expect(run.errors.contains(message), "\(run.errors)")
    #expect(run.output.isEmpty)
  }

  @Test func `a class that the rows trained on do not have is named with its place`() throws {
    try place.write("a,b,kind\n1,2,other\n", to: "strange.csv")
    for option in ["", "--stream"] {
      let run = try train("kinds.csv --validation-data strange.csv --epochs 1 \(option)")
      #expect(run.status == 65)
      #expect(run.errors.contains("strange.csv") && run.errors.contains("other"), "\(run.errors)")
    }
    try place.write("a,b,y\n1,2,3\n4,x,6\n", to: "broken.csv")
    let broken = try train("broken.csv --stream --task regression --preset plain")
    #expect(broken.status == 65)
    #expect(
      broken.errors == "chainrule: broken.csv, line 3, column 2: b is \"x\"; expected a number; "
        + "if the column is categorical: --categorical b\n",
      "\(broken.errors)")
  }

  @Test func `Ctrl-C saves the model of a streamed run too`() throws {
    let run = try place.start(["train", "data.csv", "--stream", "--epochs", "1000000", "--save", "m"])
    let end = Date(timeIntervalSinceNow: 60)
    while try !run.errors.contains("epoch 2/") {
      try #require(run.process.isRunning && Date() < end, "there is no progress")
      Thread.sleep(forTimeInterval: 0.01)
    }
    run.process.interrupt()
    let ended = try run.wait()
    #expect(ended.status == 130)
    #expect(ended.output == "model  saved in m\n")
    #expect(try place.chainrule("evaluate", "m", "data.csv").status == 0)
  }
}
