// Measures how fast Chainrule and SwiftCSV read a CSV file of numbers on one core.
//
//   csv FILE

import Chainrule
import Foundation
import SwiftCSV

/// Prints the best of `runs` runs, in MB per second of processor time.
func report(_ name: String, _ megabytes: Double, runs: Int, _ body: () throws -> Int) rethrows {
  var best = Double.infinity
  var rows = 0
  for _ in 0..<runs {
    let start = clock()
    rows = try body()
    best = min(best, Double(clock() - start) / Double(CLOCKS_PER_SEC))
  }
  let figures = String(format: "%8.2f s  %7.1f MB/s", best, megabytes / best)
  print("\(name.padding(toLength: 44, withPad: " ", startingAt: 0))\(figures)  \(rows) rows")
}

guard CommandLine.arguments.count == 2 else {
  FileHandle.standardError.write(Data("usage: csv FILE\n".utf8))
  exit(64)
}
do {
  let url = URL(filePath: CommandLine.arguments[1])
  let size = Double(try url.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0) / 1e6
  let options = CSVOptions(task: .regression)
  print(String(format: "%.1f MB, seconds of processor time", size))
  try report("Chainrule, Dataset<Float>(csvFile:)", size, runs: 5) {
    try Dataset<Float>(csvFile: url.path, options: options).rows
  }
  try report("Chainrule, Dataset<Double>(csvFile:)", size, runs: 5) {
    try Dataset<Double>(csvFile: url.path, options: options).rows
  }
  try report("Chainrule, CSVSource<Float>, an epoch", size, runs: 5) {
    var batches = try CSVSource<Float>(file: url.path, options: options).makeBatches(of: 1024)
    var rows = 0
    while let batch = try batches.next() { rows += batch.rows }
    return rows
  }
  try report("SwiftCSV 0.10.0, EnumeratedCSV, texts", size, runs: 1) {
    try EnumeratedCSV(url: url, loadColumns: false).rows.count
  }
  try report("SwiftCSV 0.10.0, EnumeratedCSV, and Float", size, runs: 1) {
    let rows = try EnumeratedCSV(url: url, loadColumns: false).rows
    return rows.map { $0.compactMap(Float.init) }.count { $0.count == rows[0].count }
  }
} catch {
  FileHandle.standardError.write(Data("\(error)\n".utf8))
  exit(1)
}
