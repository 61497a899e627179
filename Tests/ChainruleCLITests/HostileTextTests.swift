import Foundation
import Testing

/// Names and labels that a file may have, and what must not come of them.
@Suite struct `Hostile text` {
  private let place: Workplace

  /// A column and two classes that end a comment of C, forge a line, and clear the screen.
  private static let column = "\u{D4E}*/ int puts(const char *); /*\u{301}"
  private static let labels = ["u\u{1B}[2J\u{202E}\nforged  line", "a,\u{301}\"b\u{9B}31m"]

  init() throws {
    place = try Workplace()
    func quoted(_ text: String) -> String { "\"\(text.replacing("\"", with: "\"\""))\"" }
    var text = "\(quoted(Self.column)),\(quoted("x\u{1B}]0;t\u{7}")),y\n"
    for row in 0..<80 { text += "\(row % 7),\(row % 2).5,\(quoted(Self.labels[row % 2]))\n" }
    try place.write(text, to: "data.csv")
    try place.chainrule("train", "data.csv", "--epochs", "2", "--save", "m", "--quiet")
  }

  /// The scalars of a text that a terminal obeys; a line feed is none.
  private func obeyed(_ text: String) -> [UnicodeScalar] {
    text.unicodeScalars.filter {
      $0 != "\n" && ($0.value < 0x20 || 0x7F...0x9F ~= $0.value || 0x202A...0x202E ~= $0.value)
    }
  }

  @Test(arguments: [
    "inspect m", "inspect m --json", "evaluate m data.csv", "evaluate m data.csv --json",
    "evaluate m data.csv --importance",
    "predict m data.csv --json", "train data.csv --epochs 1", "train data.csv --target nothing",
    "predict m bad.csv",
    "evaluate m bad.csv", "train data.csv --ignore 1,2",
  ])
  func `is escaped on standard output and standard error`(command: String) throws {
    try place.write("a\u{1B}[1m,b\n1,\u{1B}[2Joops\n2,\u{202E}x\n", to: "bad.csv")
    let run = try place.chainrule(command.split(separator: " ").map(String.init))
    #expect(obeyed(run.output).isEmpty, "\(run.output.debugDescription)")
    #expect(obeyed(run.errors).isEmpty, "\(run.errors.debugDescription)")
    #expect(!(run.output + run.errors).split(separator: "\n").contains { $0.hasPrefix("forged") })
  }

  @Test func `ends no comment of an exported file`() throws {
    let source = Array(try place.chainrule("export", "m", "--to", "c").output.utf8)
    let name = Array("int puts".utf8)
    let start = try #require(source.indices.first { source[$0...].starts(with: name) })
    let line = source[..<start].reversed().prefix { $0 != UInt8(ascii: "\n") }
    #expect(
      !zip(line.reversed(), line.reversed().dropFirst()).contains {
        $0 == UInt8(ascii: "*") && $1 == UInt8(ascii: "/")
      })
  }

  @Test func `stands as it is in predicted rows, in quotes where it must`() throws {
    let output = try place.chainrule("predict", "m", "data.csv").output
    #expect(output.utf8.contains(0x1B))
    try place.write(output, to: "out.csv")
    let read = try place.chainrule(
      "train", "out.csv", "--target", "label", "--epochs", "1", "--validation", "0")
    #expect(read.status == 0 && read.output.contains("80 rows"), "\(read.errors)")
  }

  @Test func `of the name of a step file forges no line`() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let goldens = file.appending(path: "Fixtures/goldens")
    let step = try FileManager.default.contentsOfDirectory(at: goldens, includingPropertiesForKeys: nil)
      .first { $0.pathExtension == "json" }
    guard let step,
      var json = try JSONSerialization.jsonObject(with: Data(contentsOf: step)) as? [String: Any]
    else {
      return
    }
    json["name"] = "n\n\u{1B}[2Jforged"
    try place.write([UInt8](JSONSerialization.data(withJSONObject: json)), to: "step.json")
    #expect(try obeyed(place.chainrule("explain", "step.json").output).isEmpty)
  }
}
