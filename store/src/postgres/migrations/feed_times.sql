-- What is complete of the whole feed. It is read once, for a migration and for a state that is made anew.
INSERT INTO feed_times (block, earliest, latest)
SELECT block, earliest, max(latest) OVER (ORDER BY block)
FROM (SELECT (position - 1) / 1024 AS block, min(created_at) AS earliest, max(created_at) AS latest
      FROM feed GROUP BY 1) AS blocks
WHERE (block + 1) * 1024 <= (SELECT position FROM feed_end);
