import TestSupport
import Testing

@testable import ChainruleData

@Suite struct `Random tables` {
  /// A table of numbers, categories, dates and gaps, quoted or not, each cell by chance.
  private func table(_ draw: inout SplitMix64) -> (text: String, options: CSVOptions, longestRow: Int) {
    func below(_ bound: Int) -> Int { Int(draw.next(below: UInt64(bound))) }
    let (columns, rows) = (1 + below(4), 4 + below(60))
    let lineEnd = ["\n", "\r\n", "\r"][below(3)]
    let delimiter: Character = [",", ";", "\t", "|"][below(4)]
    let kinds = (0..<columns).map { _ in below(6) }
    let gap = [0, 0, 10, 3][below(4)]
    func cell(_ kind: Int) -> String {
      if gap > 0, below(gap) == 0 { return ["", "NA", "?", "nan", "-"][below(5)] }
      let text =
        switch kind {
        case 0: "\(below(2000) - 1000)"
        case 1: "\(Double(below(100_000)) / 64)"
        case 2: ["red", "Gr\u{FC}n", "blue, or \"blue\"", "e\u{301}", "\u{E9}"][below(5)]
        case 3: "0\(below(30))"
        case 4: "20\(10 + below(80))-0\(1 + below(9))-1\(below(10))"
        default: "t\(below(40))"
        }
      let needsQuotes = text.utf8.contains { ",\"".utf8.contains($0) }
      return needsQuotes || below(5) == 0 ? "\"\(text.replacing("\"", with: "\"\""))\"" : text
    }
    let targetKind = below(3)
    var lines = [((0..<columns).map { "c\($0)" } + ["y"]).joined(separator: String(delimiter))]
    for _ in 0..<rows {
      lines.append((kinds + [targetKind]).map(cell).joined(separator: String(delimiter)))
    }
    var options = CSVOptions.anyTable()
    options.header = below(2) == 0 ? .yes : .automatic
    if options.header == .yes { options.delimiter = delimiter }
    // Means are those in memory to rounding alone.
    options.missing = [.median, .mostFrequent, .constant(7)][below(3)]
    options.indicatesMissing = below(3) > 0
    options.unknownCategory = below(2) == 0 ? .zeros : .error
    let text = lines.joined(separator: lineEnd) + (below(2) == 0 ? lineEnd : "")
    return (text, options, lines.map(\.utf8.count).max()! + 2)
  }

  @Test func `are the same in memory, part by part, and with the columns in another order`() throws {
    var draw = SplitMix64(seed: 19)
    var (read, refused) = (0, 0)
    for index in 0..<300 {
      let (text, options, longest) = table(&draw)
      let chunks = (0..<3).map { _ in longest / 16 + 1 + Int(draw.next(below: UInt64(longest * 2))) }
      do {
        let reading = try ChainruleDataTests.read(Array(text.utf8), options, chunks: chunks)
        #expect(reading.data.features.allSatisfy { $0.isFinite }, "\(index)")
        read += 1
      } catch {
        // Refused in memory: refused part by part, for the same reason.
        let file = try TemporaryFile(Array(text.utf8))
        let found = complaint {
          try Dataset(CSVSource<Double>(file: file.path, options: options, chunk: chunks[0]))
        }
        #expect(found.hasSuffix("\(error)"), "\(index): \(found), \(error)")
        refused += 1
      }
    }
    #expect(read > 200, "\(refused) refused")
  }
}
