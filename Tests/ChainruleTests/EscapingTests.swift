import Foundation
import TestSupport
import Testing

@testable import Chainrule

/// Texts with a scalar that means something where they go, or that joins its neighbours to one Character.
private let hostile: [String] = {
  let scalars: [UnicodeScalar] = [
    "\0", "\u{7}", "\t", "\n", "\r", "\u{1B}", "\u{7F}", "\u{85}", "\u{9B}", "\u{A0}", "\u{AD}", "\u{301}",
    "\u{34F}",
    "\u{600}", "\u{D4E}", "\u{1100}", "\u{200B}", "\u{200C}", "\u{200D}", "\u{202E}", "\u{2028}", "\u{2029}",
    "\u{2066}",
    "\u{FE0F}", "\u{FEFF}", "\u{FFFD}", "\u{1F1E6}", "\u{1F3FF}", "\u{E0001}", "\u{10FFFF}", "\"", "'", "\\",
    "?", "<", "&",
    ">", ",", ";", "=", "*", "/", "é", "x",
  ]
  return scalars.flatMap { scalar -> [String] in
    let s = String(scalar)
    return [
      s, "a\(s)b", "\(s)*/ int puts(); /*\(s)", "*\(s)/", "/\(s)*", "*/\(s)", "\(s)\"a,b\"\(s)", "a\"\(s)",
      ",\(s)", "\(s)[31m",
      "?\(s)?/", " \(s)", "\(s) ",
    ]
  }
}()

private func scalars(_ text: String) -> [UInt32] { text.unicodeScalars.map(\.value) }

@Suite struct `Text of files` {
  @Test func `neither ends nor begins a comment of C`() {
    for text in hostile {
      let bytes = Array(text.escaped(for: .cComment).utf8)
      for pair in ["*/", "/*", "??"] {
        #expect(!zip(bytes, bytes.dropFirst()).contains { [$0, $1] == Array(pair.utf8) }, "\(scalars(text))")
      }
      #expect(!bytes.contains { $0 < 0x20 }, "\(scalars(text))")
    }
    #expect("Größe in m²".escaped(for: .cComment) == "Größe in m²")
  }

  @Test func `is read back from a cell of CSV`() throws {
    // A table refuses NUL, which it takes for a sign of UTF-16.
    for text in hostile where !text.utf8.contains(0) {
      let line = "x,\(text.escaped(for: .csv(guardingFormulas: false))),y\n"
      let table = try CSVTable(
        bytes: Array("a,b,c\n\(line)".utf8), options: CSVOptions(header: .yes, delimiter: ","))
      #expect(table.rows == 1 && table.columns == 3, "\(scalars(text))")
      #expect(try scalars(table.texts(inColumn: "b")[0]) == scalars(text), "\(scalars(text))")
    }
    let guarded = ["=1+1", "+1", "-1", "@a", "\tx"].map { $0.escaped(for: .csv(guardingFormulas: true)) }
    #expect(guarded == ["'=1+1", "'+1", "'-1", "'@a", "\"'\tx\""])
  }

  @Test func `is read back from JSON, and shows nothing that a terminal obeys`() throws {
    for text in hostile {
      let json = "\"\(text.escaped(for: .json))\""
      #expect(try scalars(JSONDecoder().decode(String.self, from: Data(json.utf8))) == scalars(text))
      #expect(obeyed(in: json).isEmpty, "\(scalars(text))")
    }
  }

  @Test func `moves nothing on a terminal`() {
    for text in hostile { #expect(obeyed(in: text.escaped(for: .terminal)).isEmpty, "\(scalars(text))") }
    #expect("a\n\u{1B}[1m\u{202E}é👩‍🔬".escaped(for: .terminal) == "a\\n\\u{1B}[1m\\u{202E}é👩‍🔬")
  }

  @Test func `is text alone in HTML`() {
    for text in hostile {
      let html = text.escaped(for: .html)
      #expect(!html.utf8.contains { "<>\"'".utf8.contains($0) } && obeyed(in: html).isEmpty)
    }
    #expect("<a href=\"x\">'&'".escaped(for: .html) == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;")
  }

  /// Control characters, and those that reverse or break lines.
  private func obeyed(in text: String) -> [UnicodeScalar] {
    text.unicodeScalars.filter {
      $0.value < 0x20 || 0x7F...0x9F ~= $0.value || 0x202A...0x202E ~= $0.value || 0x2066...0x2069 ~= $0.value
        || 0x2028...0x2029 ~= $0.value
    }
  }
}
