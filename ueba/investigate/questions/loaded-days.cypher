// Title: Which days the graph holds, and what was found on each
// Purpose: What an answer can know: earlier days are not in the graph, and days without incidents may not have been scored.
// Parameters: none
// Columns:
//   day: the day
//   incidents: how many were found
//   top_score: of the worst of them, nats
//   trained_until: the last day that the model knew
// Example: ueba ask loaded-days
MATCH (d:LoadedDay)
OPTIONAL MATCH (i:Incident) WHERE i.day = d.day
OPTIONAL MATCH (i)-[:SCORED_BY]->(m:ModelRun)
RETURN d.day AS day, count(DISTINCT i) AS incidents, max(i.score) AS top_score, max(m.trained_until) AS trained_until
ORDER BY day DESC
