import Chainrule
import Foundation
import TestSupport
import Testing

@Suite("Formats of the data")
struct FormatTests {
  private let place: Workplace

  init() throws { place = try Workplace() }

  /// The bytes that a JSON file of fixtures has in hexadecimal, by their names.
  private func fixture(_ path: String, _ list: String?, _ key: String) throws -> [String: [UInt8]] {
    let json = try JSONSerialization.jsonObject(with: Data(contentsOf: fixtures.appending(path: path)))
    let files =
      if let list { (json as? [String: Any])?[list] as? [[String: Any]] } else { json as? [[String: Any]] }
    return try Dictionary(
      uniqueKeysWithValues: #require(files).map { file in
        let digits = Array(try #require(file[key] as? String).utf8).map { $0 > 0x39 ? $0 - 0x57 : $0 - 0x30 }
        return (
          try #require(file["name"] as? String),
          stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        )
      })
  }

  /// An .npy file of float32.
  private func npy(_ shape: String, _ values: [Float]) -> [UInt8] {
    let header = Array("{'descr': '<f4', 'fortran_order': False, 'shape': \(shape), }\n".utf8)
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.count), 0] + header
      + values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } }
  }

  private func data(_ arguments: String..., bytes: [UInt8] = []) throws -> String {
    let run = try place.start(
      ["train"] + arguments + ["--epochs", "1", "--quiet", "--hidden", "2"], bytes: bytes
    )
    .wait()
    #expect(run.status == 0, "\(run.errors)")
    return run.lines.first ?? ""
  }

  @Test func `NumPy's arrays and archives are trained on, evaluated and predicted`() throws {
    let archives = try fixture("npy/npy.json", "archives", "hex")
    for name in ["stored", "deflated", "deflated with zip64"] {
      try place.write(try #require(archives[name]), to: "d.npz")
      #expect(try data("d.npz").contains("3 rows, 2 inputs, 1 output;"))
      #expect(try data("d.npz", "--features", "x", "--target", "y").contains("3 rows, 2 inputs, 1 output;"))
      #expect(try data("-", bytes: try #require(archives[name])).contains("3 rows, 2 inputs"))
    }
    #expect(try data("d.npz", "--target", "x").contains("3 rows, 1 input, 2 outputs;"))

    try place.write(npy("(4, 2)", [0, 0, 0, 1, 1, 0, 1, 1]), to: "x.npy")
    try place.write(npy("(4,)", [0, 1, 1, 0]), to: "y.npy")
    #expect(try data("x.npy", "--labels", "y.npy", "--save", "m").contains("4 rows, 2 inputs, 2 classes;"))
    #expect(
      try data("x.npy", "--labels", "y.npy", "--task", "regression").contains("4 rows, 2 inputs, 1 output;"))
    #expect(try data("x.npy").contains("4 rows, 1 input, 2 classes;"))
    #expect(try data("x.npy", "--target", "1", "--task", "regression").contains("4 rows, 1 input, 1 output;"))
    let evaluated = try place.chainrule("evaluate", "m", "x.npy", "--labels", "y.npy", "--json").objects
    #expect(evaluated.first?["rows"] as? Int == 4)
    #expect(try place.chainrule("predict", "m", "x.npy").lines.count == 5)
    let refused = try place.chainrule("train", "x.npy", "--target", "a")
    #expect(refused.status == 64 && refused.errors.contains("are numbered from 1; --target is a"))
  }

  @Test func `FANN's data are trained on, evaluated and predicted`() throws {
    try place.write("4 2 1\n-1 -1\n-1\n-1 1\n1\n1 -1\n1\n1 1\n-1\n", to: "xor.data")
    #expect(try data("xor.data", "--save", "m").contains("4 rows, 2 inputs, 2 classes;"))
    #expect(try data("xor.data", "--task", "regression").contains("4 rows, 2 inputs, 1 output;"))
    #expect(try place.chainrule("evaluate", "m", "xor.data", "--json").objects.first?["rows"] as? Int == 4)
    #expect(try place.chainrule("predict", "m", "xor.data").lines.count == 5)
  }

  @Test func `packed files and pipes are read as others`() throws {
    let packed = try fixture("gzip/gzip.json", nil, "packed")
    try place.write(try #require(packed["images"]), to: "t-images-idx3.gz")
    try place.write(try #require(packed["labels"]), to: "t-labels-idx1.gz")
    #expect(try data("t-images-idx3.gz").contains("3 rows, 4 inputs, 4 classes;"))
    let images = try #require(packed["images"])
    #expect(
      try data("-", "--labels", "t-labels-idx1.gz", bytes: images).contains("3 rows, 4 inputs, 4 classes;"))
    let csv = try #require(packed["best"])
    #expect(try data("-", bytes: csv).contains("40 rows, 2 inputs, 1 output;"))
    #expect(try data("/dev/stdin", bytes: csv).contains("40 rows, 2 inputs, 1 output;"))
    // A pipe, in several pieces.
    let pipe = Pipe()
    let run = try place.start(
      ["train", "-", "--task", "regression", "--epochs", "1", "--quiet", "--hidden", "2"], pipe: pipe)
    Thread.detachNewThread {
      let rows = Data(String(repeating: "1,2\n-1,0.5\n", count: 1000).utf8)
      for _ in 0..<30 { try? pipe.fileHandleForWriting.write(contentsOf: rows) }
      try? pipe.fileHandleForWriting.close()
    }
    #expect(try run.wait().output.contains("60000 rows, 1 input, 1 output;"))
    // Three numbers between spaces are not FANN's header where other numbers follow than it says.
    let spaces = Array("1 2 3\n4 5 6\n".utf8)
    #expect(try data("-", bytes: spaces).contains("2 rows, 2 inputs, 1 output;"))
    #expect(try data("-", "--delimiter", " ", bytes: spaces).contains("2 rows, 2 inputs, 1 output;"))
  }

  @Test func `bad rows are left out where it is so asked, and told`() throws {
    let rows = (1...60).map { row in row % 20 == 0 ? "x,1\n" : "\(row),\(Double(row * 7 % 60) / 2)\n" }
      .joined()
    try place.write("a,y\n" + rows, to: "d.csv")
    #expect(try place.chainrule("train", "d.csv").status == 65)
    let run = try place.chainrule(
      "train", "d.csv", "--skip-bad-rows", "--epochs", "1", "--quiet", "--save", "m", "--task", "regression")
    #expect(run.status == 0)
    #expect(run.output.contains("57 rows"))
    #expect(
      run.errors
        == "chainrule: 3 bad rows left out, the first: d.csv, line 21, column 1: a is \"x\"; expected a number; "
        + "if the column is categorical: --categorical a\n"
    )
    let evaluated = try place.chainrule("evaluate", "m", "d.csv", "--skip-bad-rows", "--json")
    #expect(try evaluated.objects.first?["skippedRows"] as? Int == 3)
    #expect(try evaluated.objects.first?["rows"] as? Int == 57)
    #expect(evaluated.errors.contains("3 bad rows left out"))
    #expect(try place.chainrule("evaluate", "m", "d.csv").status == 65)
  }

  @Test(arguments: ["recommended", "plain"])
  func `means, medians and most frequent values are those of the training rows`(preset: String) throws {
    // 59 rows of 1 and one of 1000, whose row decides: with it in the part trained on, the mean is another.
    let rows = (1...60).map { row in
      let cell = row == 7 ? "1000" : row == 8 ? "" : "1"
      return "\(cell),\(Double(row) / 2)\n"
    }.joined()
    try place.write("a,y\n" + rows, to: "d.csv")
    var means: Set<Double> = []
    for seed in 1...12 {
      let run = try place.chainrule(
        "train", "d.csv", "--preset", preset, "--keep", "a", "--missing", "mean", "--epochs", "1", "--quiet",
        "--save", "m", "--seed", "\(seed)")
      #expect(run.status == 0)
      let encoding = try #require(try Model<Float>(contentsOf: place.url("m")).tableEncoding)
      guard case .number(let number)? = encoding.features.columns.first else {
        Issue.record("\(encoding)")
        return
      }
      means.insert((1e6 * (try #require(number.missing))).rounded())
    }
    // 12 rows are held out, the one without a number among them or not.
    let possible: Set<Double> = [1e6, (1e6 * 1047.0 / 48).rounded(), (1e6 * 1046.0 / 47).rounded()]
    #expect(means.isSubset(of: possible) && means.count >= 2, "\(means)")
    let folds = try place.chainrule(
      "train", "d.csv", "--preset", preset, "--keep", "a", "--missing", "mean", "--folds", "3", "--epochs",
      "1", "--quiet")
    #expect(folds.status == 0 && folds.output.contains("fold 3"))
  }
}
